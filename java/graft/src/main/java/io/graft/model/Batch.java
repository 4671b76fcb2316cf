package io.graft.model;

import java.nio.IntBuffer;
import java.util.Arrays;

/**
 * Token ids and labels of some sequences, padded on the right to one length. Labels stand at the position of their own
 * token (the model shifts them, as Hugging Face does) and are {@link #IGNORED} where no loss is wanted. A batch may be
 * refilled in place, so that training makes no garbage.
 */
public final class Batch {
    /** The label that takes no part in the loss. */
    public static final int IGNORED = -100;

    private int batch;
    private int length;
    private int[] ids = {};
    private int[] labels = {};
    private int[] lengths = {};
    private int[] starts = {};
    private boolean packed;
    private String[] adapters;

    /** An empty batch, to be filled after {@link #resize}. */
    public Batch() {}

    /** A batch [batch, length] without padding. The arrays are used as they are; labels null: the ids themselves. */
    public static Batch of(int batch, int length, int[] ids, int[] labels) {
        Batch result = new Batch();
        check("ids", ids, batch * length);
        result.batch = batch;
        result.length = length;
        result.ids = ids;
        result.labels = labels == null ? ids.clone() : labels;
        check("labels", result.labels, batch * length);
        result.lengths = new int[batch];
        Arrays.fill(result.lengths, length);
        return result;
    }

    /** A batch with the attention mask of Hugging Face: 1 for real tokens, 0 for padding, which must be on the right. */
    public static Batch of(int batch, int length, int[] ids, int[] attentionMask, int[] labels) {
        check("attention_mask", attentionMask, batch * length);
        Batch result = of(batch, length, ids, labels);
        for (int row = 0; row < batch; row++) {
            result.lengths[row] = length(row, length, attentionMask);
        }
        return result;
    }

    /**
     * Names the adapter of each row, where a model has several ({@link io.graft.adapter.LoraSet}): one of its names, or
     * {@link io.graft.adapter.LoraSet#BASE} for none.
     */
    public Batch withAdapters(String... names) {
        if (names.length != batch) {
            throw new IllegalArgumentException(
                    "withAdapters: " + names.length + " names for " + batch + " rows: " + Arrays.toString(names));
        }
        adapters = names.clone();
        return this;
    }

    private static int length(int row, int length, int[] mask) {
        int real = 0;
        while (real < length && mask[row * length + real] != 0) {
            real++;
        }
        for (int i = real; i < length; i++) {
            if (mask[row * length + i] != 0) {
                throw new IllegalArgumentException("attention_mask, row " + row + ": token " + i + " is real but token "
                        + real + " is padding; only padding on the right is supported");
            }
        }
        return real;
    }

    private static void check(String name, int[] values, int expected) {
        if (values.length != expected) {
            throw new IllegalArgumentException(name + " has " + values.length + " elements, expected " + expected);
        }
    }

    /** Makes room for [batch, length]: no padding, ids 0, all labels ignored. Keeps the arrays where they fit. */
    public void resize(int newBatch, int newLength) {
        int tokens = newBatch * newLength;
        if (ids.length != tokens) {
            ids = new int[tokens];
            labels = new int[tokens];
        }
        if (lengths.length != newBatch) {
            lengths = new int[newBatch];
            adapters = null;
        }
        batch = newBatch;
        length = newLength;
        Arrays.fill(ids, 0);
        Arrays.fill(labels, IGNORED);
        Arrays.fill(lengths, newLength);
        packed = false;
        if (adapters != null) {
            Arrays.fill(adapters, null);
        }
    }

    /**
     * Lets rows hold several sequences behind one another, which neither see nor predict each other, each from position 0:
     * where in its row each token's own sequence begins [batch, length], to be written; 0 at first.
     */
    public int[] pack() {
        if (starts.length != ids.length) {
            starts = new int[ids.length];
        }
        Arrays.fill(starts, 0);
        packed = true;
        return starts;
    }

    /** Becomes one row of another batch. */
    public void takeRow(Batch from, int row) {
        resize(1, from.length);
        System.arraycopy(from.ids, row * length, ids, 0, length);
        System.arraycopy(from.labels, row * length, labels, 0, length);
        lengths[0] = from.lengths[row];
        if (from.packed) {
            System.arraycopy(from.starts, row * length, pack(), 0, length);
        }
        adapter(0, from.adapter(row));
    }

    public int batch() {
        return batch;
    }

    public int length() {
        return length;
    }

    /** Token ids [batch, length]; may be written. */
    public int[] ids() {
        return ids;
    }

    /** Labels [batch, length]; may be written. */
    public int[] labels() {
        return labels;
    }

    /** Number of real tokens of each row; may be written. */
    public int[] lengths() {
        return lengths;
    }

    /** Where in its row each token's own sequence begins [batch, length]; null where each row is one sequence. */
    public int[] starts() {
        return packed ? starts : null;
    }

    /** The name of each row's adapter; null where none is named. */
    public String[] adapters() {
        return adapters == null ? null : adapters.clone();
    }

    /** How many tokens of a row stand before the first whose label counts, all real ones where none does; at least one. */
    int context(int row) {
        int count = 0;
        while (count < lengths[row] && labels[row * length + count] == IGNORED) {
            count++;
        }
        return Math.max(count, 1);
    }

    /** The name of a row's adapter; null where none is named. */
    String adapter(int row) {
        return adapters == null ? null : adapters[row];
    }

    /** Names the adapter of one row, or null for no name. Makes no garbage where another row has a name. */
    public void adapter(int row, String name) {
        if (adapters == null && name != null) {
            adapters = new String[batch];
        }
        if (adapters != null) {
            adapters[row] = name;
        }
    }

    /** Number of real tokens. */
    public long tokens() {
        long sum = 0;
        for (int value : lengths) {
            sum += value;
        }
        return sum;
    }

    /** Number of predictions that count in the loss: labels that are not ignored, but for the first of a sequence. */
    public long targets() {
        return targets(0);
    }

    /** As {@link #targets()}, where so many virtual tokens stand before each row: the last one predicts the first token. */
    long targets(int virtualTokens) {
        long count = 0;
        for (int i = 0; i < labels.length; i++) {
            if ((virtualTokens > 0 || !first(i)) && labels[i] != IGNORED) {
                count++;
            }
        }
        return count;
    }

    /** Whether nothing of its sequence is before token i. */
    private boolean first(int i) {
        return i % length == (packed ? starts[i] : 0);
    }

    /** Writes for each position, virtual ones included, the label of the next one; ignored where there is none. */
    void shiftLabels(int virtualTokens, IntBuffer into) {
        int row = virtualTokens + length;
        for (int i = 0; i < batch * row; i++) {
            int next = i % row + 1 - virtualTokens;
            int at = i / row * length + next;
            boolean none = next < 0 || next == length || (virtualTokens == 0 && first(at));
            into.put(i, none ? IGNORED : labels[at]);
        }
    }
}
