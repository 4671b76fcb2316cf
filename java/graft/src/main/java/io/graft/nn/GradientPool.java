package io.graft.nn;

import io.graft.ops.TensorOps;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * Gradients that parameters of one shape have in turn: a parameter takes one, zero, when backward first asks for it, and gives
 * it back when it has been moved. Where that happens block by block there are never more than one block's.
 */
public final class GradientPool {
    private final Scope scope;
    private final List<Tensor> free = new ArrayList<>();

    /** @param scope lives as long as the parameters */
    public GradientPool(Scope scope) {
        this.scope = scope;
    }

    Tensor take(Tensor value) {
        for (int i = free.size() - 1; i >= 0; i--) {
            if (fits(free.get(i), value)) {
                return free.remove(i);
            }
        }
        return scope.tensor(Memory.GRADIENT, Precision.accumulator(value.dtype()), value.shape());
    }

    void give(Tensor gradient) {
        TensorOps.fill(scope.context(), 0, gradient);
        free.add(gradient);
    }

    private static boolean fits(Tensor gradient, Tensor value) {
        boolean same = gradient.dtype() == Precision.accumulator(value.dtype()) && gradient.rank() == value.rank();
        for (int i = 0; same && i < value.rank(); i++) {
            same = gradient.size(i) == value.size(i);
        }
        return same;
    }
}
