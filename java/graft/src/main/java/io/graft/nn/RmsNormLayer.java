package io.graft.nn;

import io.graft.ops.RmsNorm;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;

/** Root mean square norm. */
public final class RmsNormLayer implements Norm {
    private final Parameter weight;
    private final List<Parameter> parameters;
    private final double epsilon;

    public RmsNormLayer(Scope scope, String module, DType compute, long width, double epsilon) {
        this.weight =
                new Parameter(module + ".weight", scope.tensor(Memory.BASE, Precision.accumulator(compute), width));
        this.parameters = List.of(weight);
        this.epsilon = epsilon;
    }

    /** Reciprocal root mean squares [rows]. */
    @Override
    public Tensor statistics(Scope scope, long rows) {
        return scope.tensor(Memory.ACTIVATION, weight.value().dtype(), rows);
    }

    @Override
    public void forward(Pass pass, Tensor x, Tensor y, Tensor rstd) {
        RmsNorm.forward(pass.context(), x, weight.value(), epsilon, y, rstd);
    }

    @Override
    public void backward(Pass pass, Tensor dy, Tensor x, Tensor rstd, boolean accumulate, Tensor dx) {
        if (dx != null || weight.trainable()) {
            RmsNorm.backward(pass.context(), dy, x, weight.value(), rstd, accumulate, dx, weight.gradient());
        }
    }

    @Override
    public List<Parameter> parameters() {
        return parameters;
    }

    public Parameter weight() {
        return weight;
    }
}
