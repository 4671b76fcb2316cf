package io.graft.nn;

import io.graft.ops.Rope;
import io.graft.tensor.Tensor;

/**
 * How heads of queries and keys are turned by their position.
 *
 * @param inverseFrequencies [R / 2]; only the first R numbers of a head are turned
 * @param magnitude what those are multiplied with beside: YaRN's attention factor (arXiv 2309.00071, section 3.4), else 1
 */
public record RotaryEmbedding(Tensor inverseFrequencies, double magnitude) {
    /** x, y [B, T, H, D], which may be the same memory. */
    void forward(Pass pass, Tensor x, boolean pairs, Tensor y) {
        Rope.forward(pass.context(), x, pass.positions(), inverseFrequencies, pairs, magnitude, y);
    }

    /** Gradients as {@link #forward}. */
    void backward(Pass pass, Tensor dy, boolean pairs, Tensor dx) {
        Rope.backward(pass.context(), dy, pass.positions(), inverseFrequencies, pairs, magnitude, dx);
    }
}
