package io.graft.nn;

/**
 * The sizes of a decoder block.
 *
 * @param attentionScale what scores are multiplied with
 */
public record BlockShape(
        int hidden, int intermediate, int heads, int kvHeads, int headDim, double epsilon, double attentionScale) {
    /** With scores multiplied with 1 / √headDim. */
    public BlockShape(int hidden, int intermediate, int heads, int kvHeads, int headDim, double epsilon) {
        this(hidden, intermediate, heads, kvHeads, headDim, epsilon, 1 / Math.sqrt(headDim));
    }

    public int queryWidth() {
        return heads * headDim;
    }

    public int keyWidth() {
        return kvHeads * headDim;
    }
}
