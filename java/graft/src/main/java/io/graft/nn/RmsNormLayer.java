package io.graft.nn;

import io.graft.ops.RmsNorm;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/** Root mean square norm. Its weight is kept in fp32 whatever the compute dtype: it is small and then its own master. */
public final class RmsNormLayer {
    private final Parameter weight;
    private final double epsilon;

    public RmsNormLayer(Scope scope, String module, DType compute, long width, double epsilon) {
        this.weight =
                new Parameter(module + ".weight", scope.tensor(Memory.BASE, Precision.accumulator(compute), width));
        this.epsilon = epsilon;
    }

    /** rstd may be null in inference. */
    public void forward(Pass pass, Tensor x, Tensor y, Tensor rstd) {
        RmsNorm.forward(pass.context(), x, weight.value(), epsilon, y, rstd);
    }

    public void backward(Pass pass, Tensor dy, Tensor x, Tensor rstd, boolean accumulate, Tensor dx) {
        if (dx != null || weight.trainable()) {
            RmsNorm.backward(pass.context(), dy, x, weight.value(), rstd, accumulate, dx, weight.gradient());
        }
    }

    public Parameter weight() {
        return weight;
    }
}
