package io.graft.io;

import java.util.Arrays;

/**
 * A document as tokens.
 *
 * @param ids token ids
 * @param labels the same, but {@link TextDataset#IGNORED} for what is read and not learnt
 */
public record Document(int[] ids, int[] labels) {
    public Document {
        if (ids.length != labels.length) {
            throw new IllegalArgumentException("Document: " + ids.length + " ids but " + labels.length + " labels");
        }
    }

    /** The first tokens, at most so many. */
    public Document cut(int most) {
        return ids.length <= most ? this : new Document(Arrays.copyOf(ids, most), Arrays.copyOf(labels, most));
    }

    /** How many predictions count in a loss: labels behind the first token, which nothing predicts. */
    public int targets() {
        int count = 0;
        for (int i = 1; i < labels.length; i++) {
            count += labels[i] == TextDataset.IGNORED ? 0 : 1;
        }
        return count;
    }
}
