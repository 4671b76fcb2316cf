package io.graft.nn;

import io.graft.ops.LayerNorm;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;

/** Layer norm with a bias. */
final class LayerNormLayer implements Norm {
    private final Parameter weight;
    private final Parameter bias;
    private final List<Parameter> parameters;
    private final double epsilon;

    LayerNormLayer(Scope scope, String module, DType compute, long width, double epsilon) {
        DType dtype = Precision.accumulator(compute);
        weight = new Parameter(module + ".weight", scope.tensor(Memory.BASE, dtype, width));
        bias = new Parameter(module + ".bias", scope.tensor(Memory.BASE, dtype, width));
        parameters = List.of(weight, bias);
        this.epsilon = epsilon;
    }

    /** Mean and reciprocal deviation [rows, 2]. */
    @Override
    public Tensor statistics(Scope scope, long rows) {
        return scope.tensor(Memory.ACTIVATION, weight.value().dtype(), rows, 2);
    }

    @Override
    public void forward(Pass pass, Tensor x, Tensor y, Tensor statistics) {
        LayerNorm.forward(pass.context(), x, weight.value(), bias.value(), epsilon, y, statistics);
    }

    @Override
    public void backward(Pass pass, Tensor dy, Tensor x, Tensor statistics, boolean accumulate, Tensor dx) {
        if (dx != null || trainable()) {
            LayerNorm.backward(
                    pass.context(),
                    dy,
                    x,
                    weight.value(),
                    statistics,
                    accumulate,
                    dx,
                    weight.gradient(),
                    bias.gradient());
        }
    }

    @Override
    public List<Parameter> parameters() {
        return parameters;
    }
}
