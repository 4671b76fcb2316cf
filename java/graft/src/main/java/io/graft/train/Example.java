package io.graft.train;

/**
 * A tokenised example.
 *
 * @param ids token ids
 * @param labels the ids that count in the loss and {@link io.graft.model.Batch#IGNORED} elsewhere, e.g. in a prompt
 * @param adapter which of a model's several adapters it trains; null where it has not several
 */
public record Example(int[] ids, int[] labels, String adapter) {
    public Example {
        if (ids.length != labels.length) {
            throw new IllegalArgumentException("Example: " + ids.length + " ids but " + labels.length + " labels");
        }
    }

    public Example(int[] ids, int[] labels) {
        this(ids, labels, null);
    }

    /** All tokens count. */
    public static Example of(int... ids) {
        return new Example(ids, ids);
    }

    /** The same for one of several adapters. */
    public Example withAdapter(String name) {
        return new Example(ids, labels, name);
    }
}
