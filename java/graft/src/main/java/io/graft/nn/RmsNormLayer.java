package io.graft.nn;

import io.graft.ops.RmsNorm;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;

/** Root mean square norm. */
public final class RmsNormLayer implements Norm {
    private final Parameter weight;
    private final Tensor factors;
    private final List<Parameter> parameters;
    private final double epsilon;

    public RmsNormLayer(Scope scope, String module, DType compute, long width, double epsilon) {
        this(scope, module, compute, width, epsilon, false);
    }

    /** @param shifted whether rows are multiplied by 1 + the weight */
    RmsNormLayer(Scope scope, String module, DType compute, long width, double epsilon, boolean shifted) {
        this.weight =
                new Parameter(module + ".weight", scope.tensor(Memory.BASE, Precision.accumulator(compute), width));
        this.factors = shifted ? scope.tensor(Memory.BASE, Precision.accumulator(compute), width) : weight.value();
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
        if (factors != weight.value()) {
            TensorOps.fill(pass.context(), 1, factors);
            TensorOps.add(pass.context(), weight.value(), factors);
        }
        RmsNorm.forward(pass.context(), x, factors, epsilon, y, rstd);
    }

    @Override
    public void backward(Pass pass, Tensor dy, Tensor x, Tensor rstd, boolean accumulate, Tensor dx) {
        if (dx != null || weight.trainable()) {
            RmsNorm.backward(pass.context(), dy, x, factors, rstd, accumulate, dx, weight.gradient());
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
