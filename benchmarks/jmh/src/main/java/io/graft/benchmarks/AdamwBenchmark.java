package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.AdamWStep;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;

/** A clipped step of AdamW on a whole matrix of attention, with its copy in the compute type. */
public class AdamwBenchmark extends OpBenchmark {
    @Override
    protected void contenders(Trial trial) {
        long n = shape().layer("q_proj").n();
        long k = shape().layer("q_proj").k();
        trial.graft("adamw", inputs -> {
            Tensor p = inputs.parameter(1, 1, n, k);
            Tensor g = inputs.parameter(2, 1, n, k);
            Tensor m = inputs.scope().tensor(Memory.OPTIMIZER, DType.F32, n, k);
            Tensor v = inputs.scope().tensor(Memory.OPTIMIZER, DType.F32, n, k);
            Tensor norm = inputs.scope().tensor(Memory.OPTIMIZER, DType.F64, 1);
            Tensor output = inputs.output(n, k);
            double elements = (double) n * k;
            return new Work(() -> {
                        TensorOps.fill(inputs.context(), 0, norm);
                        AdamWStep.squaredNorm(inputs.context(), g, norm);
                        // why: no clipping, which would shrink g in place from call to call.
                        AdamWStep.step(
                                inputs.context(), g, 1e-4, 0.9, 0.999, 1e-8, 0.01, 1, 0, norm, 0, p, m, v, output);
                    })
                    .cost(15 * elements, elements * (8 * 4 + type().bytes()));
        });
    }
}
