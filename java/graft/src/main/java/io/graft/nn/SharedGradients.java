package io.graft.nn;

import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Gradients of derived matrices, and what their making needs, one for each use and shape: they live only while one layer's
 * backward or write runs.
 */
public final class SharedGradients {
    private record Key(String use, DType dtype, List<Long> shape) {}

    private final Scope scope;
    private final Map<Key, Tensor> tensors = new HashMap<>();

    /** @param scope lives as long as the model */
    public SharedGradients(Scope scope) {
        this.scope = scope;
    }

    /** The gradient [rows, columns] that goes with values of this dtype; those of one layer differ in use. */
    Tensor get(String use, DType values, long rows, long columns) {
        return scratch(use, Precision.accumulator(values), rows, columns);
    }

    /** A matrix of exactly this dtype. */
    Tensor scratch(String use, DType dtype, long rows, long columns) {
        return tensors.computeIfAbsent(
                new Key(use, dtype, List.of(rows, columns)),
                key -> scope.tensor(Memory.GRADIENT, dtype, rows, columns));
    }
}
