package io.graft.nn;

import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;

/** A norm of each row. Its parameters are in fp32 whatever the compute dtype: they are small and then their own masters. */
public interface Norm {
    /** Which norm an architecture has. */
    enum Kind {
        RMS,
        LAYER
    }

    static Norm of(Kind kind, Scope scope, String module, DType compute, long width, double epsilon) {
        return kind == Kind.RMS
                ? new RmsNormLayer(scope, module, compute, width, epsilon)
                : new LayerNormLayer(scope, module, compute, width, epsilon);
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
