package io.graft.nn;

import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;

/** A norm of each row. Its parameters are in fp32 whatever the compute dtype: they are small and then their own masters. */
public interface Norm {
    /** Which norm an architecture has. */
    enum Kind {
        RMS,
        /** RMS, multiplied by 1 + the weight instead of the weight. */
        SHIFTED_RMS,
        LAYER
    }

    static Norm of(Kind kind, Scope scope, String module, DType compute, long width, double epsilon) {
        return kind == Kind.LAYER
                ? new LayerNormLayer(scope, module, compute, width, epsilon)
                : new RmsNormLayer(scope, module, compute, width, epsilon, kind == Kind.SHIFTED_RMS);
    }

    /** The norm of what a half of a block makes, before it is added; null where it has no name. */
    static Norm behind(Kind kind, Scope scope, String path, String name, DType compute, BlockShape shape) {
        return name == null ? null : of(kind, scope, path + "." + name, compute, shape.hidden(), shape.epsilon());
    }

    /** What a norm behind a half of a block needs: what the half made, and for backward its statistics. */
    final class Tape {
        /** What the half's last layer makes [T, hidden]. */
        final Tensor x;

        private final Tensor normed;
        private final Tensor statistics;

        Tape(Scope scope, DType dtype, Norm norm, Scratch scratch, boolean training) {
            x = Precision.activation(scope, dtype, scratch.h.size(0), scratch.hidden, 0);
            normed = scratch.normed(scope, dtype);
            statistics = training ? norm.statistics(scope, x.size(0)) : null;
        }
    }

    /** y += norm(tape.x). */
    default void addTo(Pass pass, Tensor y, Tape tape) {
        forward(pass, tape.x, tape.normed, tape.statistics);
        TensorOps.add(pass.context(), tape.normed, y);
    }

    /** Makes the tape's statistics again from its x. */
    default void again(Pass pass, Tape tape) {
        forward(pass, tape.x, tape.normed, tape.statistics);
    }

    /** The gradient of tape.x, in memory that is free until the next such call. */
    default Tensor backwardBehind(Pass pass, Tensor dy, Tape tape, Scratch scratch) {
        backward(pass, dy, tape.x, tape.statistics, false, scratch.dnormed());
        return scratch.dnormed();
    }

    /** What forward keeps of so many rows for backward. */
    Tensor statistics(Scope scope, long rows);

    /** statistics may be null in inference. */
    void forward(Pass pass, Tensor x, Tensor y, Tensor statistics);

    /** dx: overwritten, or added to with accumulate; null: not wanted. Parameter gradients are added to. */
    void backward(Pass pass, Tensor dy, Tensor x, Tensor statistics, boolean accumulate, Tensor dx);

    List<Parameter> parameters();

    default boolean trainable() {
        for (Parameter parameter : parameters()) {
            if (parameter.trainable()) {
                return true;
            }
        }
        return false;
    }
}
