package io.graft.train;

/**
 * A tokenised example.
 *
 * @param ids token ids
 * @param labels the ids that count in the loss and {@link io.graft.model.Batch#IGNORED} elsewhere, e.g. in a prompt
 */
public record Example(int[] ids, int[] labels) {
    public Example {
        if (ids.length != labels.length) {
            throw new IllegalArgumentException("Example: " + ids.length + " ids but " + labels.length + " labels");
        }
    }

    /** All tokens count. */
    public static Example of(int... ids) {
        return new Example(ids, ids);
    }
}
