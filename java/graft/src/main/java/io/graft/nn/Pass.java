package io.graft.nn;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Mirror;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;
import java.util.SplittableRandom;

/**
 * What all layers of one pass share: the shape of the batch, its positions and lengths, and the dropout counter. The
 * tensors live as long as the scope they were made in; the settings change from one pass to the next.
 */
public final class Pass {
    private final Pass leader;
    private final Context context;
    private final int batch;
    private final int length;
    private final Mirror positions;
    private final Mirror starts;
    private final RotaryEmbedding[] rotary;
    private final Mirror lengths;
    private final Mirror realRows;
    private final Mirror segments;
    private boolean padded;
    private boolean packed;
    private boolean training;
    private long past;
    private double share = 1;
    private long dropoutSeed;
    private long dropoutOffset;

    /** @param rotary the model's rotary embeddings, of which it may have two */
    public Pass(Scope scope, int batch, int length, RotaryEmbedding... rotary) {
        this.leader = this;
        this.context = scope.context();
        this.batch = batch;
        this.length = length;
        this.rotary = rotary;
        this.positions = new Mirror(scope.tensor(Memory.ACTIVATION, DType.I32, batch, length));
        this.lengths = new Mirror(scope.tensor(Memory.ACTIVATION, DType.I32, batch));
        this.realRows = new Mirror(scope.tensor(Memory.ACTIVATION, DType.I32, batch));
        this.segments = new Mirror(scope.host().tensor(Memory.ACTIVATION, DType.I32, batch, 2));
        this.starts = new Mirror(scope.tensor(Memory.ACTIVATION, DType.I32, batch, length));
        positions(0);
    }

    /**
     * The same batch with another rotary embedding, for layers of another head size; what is set is set on the model's pass.
     *
     * @param leader whose settings are followed
     */
    Pass(Pass leader, RotaryEmbedding... rotary) {
        this.leader = leader;
        this.context = leader.context;
        this.batch = leader.batch;
        this.length = leader.length;
        this.rotary = rotary;
        this.positions = leader.positions;
        this.starts = leader.starts;
        this.lengths = leader.lengths;
        this.realRows = leader.realRows;
        this.segments = leader.segments;
    }

    /** Sets the position of the first token: 0, or how many tokens the cache already holds. */
    public void positions(long past) {
        this.past = past;
        for (int i = 0; i < batch * length; i++) {
            positions.ints().put(i, (int) past + i % length);
        }
    }

    /**
     * Says where in its row each token's own sequence begins, where rows hold several: they do not see each other, and each
     * is at position 0 again; null: each row is one.
     */
    public void starts(int[] values) {
        if (values == null && !packed) {
            return;
        }
        packed = values != null;
        for (int i = 0; i < batch * length; i++) {
            int start = packed ? values[i] : 0;
            starts.ints().put(i, start);
            positions.ints().put(i, (int) past + i % length - start);
        }
    }

    /** Sets the positions of the tokens that come behind those of each row's cache. */
    public void positions(List<KvCache> caches) {
        past = 0;
        for (int i = 0; i < batch * length; i++) {
            int first = caches.get(i / length).length();
            past = Math.max(past, first);
            positions.ints().put(i, first + i % length);
        }
    }

    /** Sets the number of real tokens of each row, behind as many virtual ones. */
    public void lengths(int[] values, int virtualTokens) {
        padded = false;
        for (int i = 0; i < values.length; i++) {
            int real = virtualTokens + values[i];
            padded |= real < past + length;
            lengths.ints().put(i, real);
            realRows.ints().put(i, (int) (real - past));
        }
    }

    /** Says which adapter of several the rows of a sequence use; -1: none. To be said for each sequence. */
    public void adapter(int sequence, int adapter) {
        segments.ints().put(2 * sequence, (sequence + 1) * length);
        segments.ints().put(2 * sequence + 1, adapter);
    }

    /**
     * Turns dropout on, with the counter of this step; the same pair gives the same masks.
     *
     * @param ofStep the share that this batch has in the loss of its step, 1 for a batch on its own
     */
    public void training(double ofStep, long seed, long offset) {
        training = true;
        share = ofStep;
        dropoutSeed = seed;
        dropoutOffset = offset;
    }

    /** Lets the device have what was set: a pass whose work is kept cannot bring it there. */
    public void settle() {
        positions();
        lengths();
        realRows();
        starts();
    }

    /** Turns dropout off. */
    public void evaluating() {
        training = false;
    }

    public Context context() {
        return context;
    }

    public int batch() {
        return batch;
    }

    public int length() {
        return length;
    }

    /** batch · length: the rows of every activation. */
    public long tokens() {
        return (long) batch * length;
    }

    public Tensor positions() {
        return positions.tensor();
    }

    /** What turns the heads of a block ({@link BlockForm#frequencies}). */
    RotaryEmbedding rotary(int which) {
        return rotary[which];
    }

    /** The lengths tensor, or null when no row is padded. */
    public Tensor lengths() {
        return leader.padded ? lengths.tensor() : null;
    }

    /** Where each token's own sequence begins [batch, length] i32, or null when each row is one. */
    public Tensor starts() {
        return leader.packed ? starts.tensor() : null;
    }

    /** How many rows of a sequence are real. */
    int real(int sequence) {
        return leader.padded
                ? Math.toIntExact(Math.max(0, Math.min(length, lengths.get(sequence) - leader.past)))
                : length;
    }

    /** For each sequence the row behind its last, and its adapter [batch, 2]; see {@link #adapter}. */
    Tensor segments() {
        return segments.tensor();
    }

    /** Of each sequence the rows that are not padding [batch] i32, or null when none is padded. */
    Tensor realRows() {
        return leader.padded ? realRows.tensor() : null;
    }

    /** The share that this batch has in the loss of its step: what losses beside that of the targets are weighed with. */
    public double share() {
        return leader.share;
    }

    public long past() {
        return leader.past;
    }

    boolean training() {
        return leader.training;
    }

    long dropoutSeed() {
        return leader.dropoutSeed;
    }

    long dropoutOffset() {
        return leader.dropoutOffset;
    }

    /** Whether any row is padded, or holds several sequences: whether layers are given lengths, or starts. */
    public boolean isPadded() {
        return padded;
    }

    public boolean isPacked() {
        return packed;
    }

    /** A number by chance for this key and the counter of this step. */
    long draw(long key) {
        if (context.isKeeping()) {
            throw new UnsupportedOperationException("each pass draws anew");
        }
        return new SplittableRandom(dropoutSeed() ^ key ^ dropoutOffset() * 0x9E3779B97F4A7C15L).nextLong();
    }
}
