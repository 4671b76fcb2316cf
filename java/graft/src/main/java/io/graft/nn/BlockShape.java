package io.graft.nn;

/** The sizes of a decoder block. */
public record BlockShape(int hidden, int intermediate, int heads, int kvHeads, int headDim, double epsilon) {
    public int queryWidth() {
        return heads * headDim;
    }

    public int keyWidth() {
        return kvHeads * headDim;
    }

    /** What scores are multiplied with: 1 / √headDim. */
    public double attentionScale() {
        return 1 / Math.sqrt(headDim);
    }
}
