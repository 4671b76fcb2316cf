package io.graft.ops;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** A context for each test, and small tensors to call ops with. */
abstract class SmallTensors {
    static final Offset<Float> NEAR = Offset.offset(1e-5f);

    Context context;
    Scope scope;

    @BeforeEach
    void open() {
        context = Context.cpu(2);
        scope = context.scope();
    }

    @AfterEach
    void close() {
        context.close();
    }

    Tensor tensor(long... shape) {
        return scope.tensor(Memory.ACTIVATION, DType.F32, shape);
    }

    Weight weight(int border, float... values) {
        Weight weight = scope.weight(Memory.BASE, DType.F32, 2, 2, border);
        weight.matrix().set(values);
        return weight;
    }
}
