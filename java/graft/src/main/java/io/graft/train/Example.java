package io.graft.train;

import io.graft.model.Batch;
import java.util.Arrays;

/**
 * A tokenised example: a row of a batch.
 *
 * @param ids token ids
 * @param labels the ids that count in the loss and {@link Batch#IGNORED} elsewhere, e.g. in a prompt
 * @param adapter which of a model's several adapters it trains; null where it has not several
 * @param starts where each token's own sequence begins, where the row holds several ({@link Packing}); null: it is one
 */
public record Example(int[] ids, int[] labels, String adapter, int[] starts) {
    public Example {
        if (ids.length != labels.length) {
            throw new IllegalArgumentException("Example: " + ids.length + " ids but " + labels.length + " labels");
        }
    }

    public Example(int[] ids, int[] labels, String adapter) {
        this(ids, labels, adapter, null);
    }

    public Example(int[] ids, int[] labels) {
        this(ids, labels, null, null);
    }

    /** All tokens count. */
    public static Example of(int... ids) {
        return new Example(ids, ids);
    }

    /** The same for one of several adapters. */
    public Example withAdapter(String name) {
        return new Example(ids, labels, name, starts);
    }

    /** Becomes a row of a batch, as far as that has room. */
    public void fill(Batch batch, int row) {
        int length = Math.min(ids.length, batch.length());
        int first = row * batch.length();
        System.arraycopy(ids, 0, batch.ids(), first, length);
        System.arraycopy(labels, 0, batch.labels(), first, length);
        batch.lengths()[row] = length;
        batch.adapter(row, adapter);
        if (starts != null) {
            System.arraycopy(starts, 0, batch.starts() == null ? batch.pack() : batch.starts(), first, length);
            Arrays.fill(batch.starts(), first + length, first + batch.length(), starts[length - 1]);
        }
    }
}
