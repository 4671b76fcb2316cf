package io.graft.nn;

import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/** An RMS norm of each head of q or k (arXiv 2505.09388, section 2), with one weight [headDim] for all heads. */
final class HeadNorm {
    private final RmsNormLayer norm;
    private final int heads;
    private final int headDim;

    HeadNorm(Scope scope, String module, DType dtype, int heads, BlockShape shape, boolean shifted) {
        norm = new RmsNormLayer(scope, module, dtype, shape.headDim(), shape.epsilon(), shifted);
        this.heads = heads;
        this.headDim = shape.headDim();
    }

    Parameter weight() {
        return norm.weight();
    }

    /** What backward needs of one forward: q or k before the norm, and statistics. */
    static final class Tape {
        /** Before the norm [T, heads · headDim]. */
        final Tensor x;

        private final Tensor[] from;
        private final Tensor[] to;
        private final Tensor[] rstd;

        /** @param y where the normed heads go [T, heads · headDim] */
        Tape(Scope scope, DType dtype, HeadNorm layer, Tensor y, boolean training) {
            this(
                    layer,
                    Precision.activation(scope, dtype, y.size(0), y.size(1), 0),
                    y,
                    training ? layer.norm.statistics(scope, y.size(0) * layer.heads) : null);
        }

        private Tape(HeadNorm layer, Tensor x, Tensor y, Tensor statistics) {
            this.x = x;
            from = layer.parts(x);
            to = layer.parts(y);
            rstd = new Tensor[layer.heads];
            for (int i = 0; statistics != null && i < rstd.length; i++) {
                rstd[i] = statistics.rows(i * x.size(0), (i + 1) * x.size(0));
            }
        }
    }

    /** Each head as a matrix [T, headDim]. */
    Tensor[] parts(Tensor rows) {
        Tensor[] parts = new Tensor[heads];
        for (int i = 0; i < heads; i++) {
            parts[i] = rows.columns((long) i * headDim, (long) (i + 1) * headDim);
        }
        return parts;
    }

    void forward(Pass pass, Tape tape) {
        for (int i = 0; i < heads; i++) {
            norm.forward(pass, tape.from[i], tape.to[i], tape.rstd[i]);
        }
    }

    /** gradients: those of the heads behind the norm, which become those before it. */
    void backward(Pass pass, Tensor[] gradients, Tape tape) {
        for (int i = 0; i < heads; i++) {
            norm.backward(pass, gradients[i], tape.from[i], tape.rstd[i], false, gradients[i]);
        }
    }
}
