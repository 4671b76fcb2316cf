package io.graft.train;

import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.ops.AdamWStep;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.Map;

/**
 * What AdamW carries from step to step for one parameter: the running means of the gradient and of its square, in the dtype
 * of masters, or in 8 bits with a scale for each block (arXiv 2110.02861).
 *
 * @param mScale null: 32 bits
 * @param vScale null: 32 bits
 */
record Moments(Tensor m, Tensor v, Tensor mScale, Tensor vScale) {
    /** Smaller parameters keep 32 bits: their moments weigh nothing, and are those of norms and biases. */
    private static final long MIN_8BIT_ELEMENTS = 4096;

    /** Of a parameter whose master has this dtype, or which is bf16 and has none. */
    static Moments wide(Scope scope, DType master, long[] shape) {
        DType dtype = Precision.accumulator(master);
        return new Moments(
                scope.tensor(Memory.OPTIMIZER, dtype, shape), scope.tensor(Memory.OPTIMIZER, dtype, shape), null, null);
    }

    /** In 8 bits where the parameter is large enough, and no part of a wider matrix. */
    static Moments narrow(Scope scope, Parameter parameter) {
        Tensor p = parameter.master();
        if (!parameter.isContiguous() || p.elements() < MIN_8BIT_ELEMENTS) {
            return wide(scope, p.dtype(), p.shape());
        }
        long blocks = (p.elements() + AdamWStep.BLOCK - 1) / AdamWStep.BLOCK;
        return new Moments(
                scope.tensor(Memory.OPTIMIZER, DType.U8, p.shape()),
                scope.tensor(Memory.OPTIMIZER, DType.U8, p.shape()),
                scope.tensor(Memory.OPTIMIZER, DType.F32, blocks),
                scope.tensor(Memory.OPTIMIZER, DType.F32, blocks));
    }

    boolean coded() {
        return mScale != null;
    }

    void putInto(Map<String, Tensor> state, String name) {
        state.put("m/" + name, m);
        state.put("v/" + name, v);
        if (coded()) {
            state.put("m_scale/" + name, mScale);
            state.put("v_scale/" + name, vScale);
        }
    }
}
