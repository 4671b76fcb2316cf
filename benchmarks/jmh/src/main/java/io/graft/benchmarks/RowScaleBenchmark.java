package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.RowScale;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;

/** VeRA's diagonal before a fixed factor of rank 256, with its gradient. */
public class RowScaleBenchmark extends OpBenchmark {
    private static final long RANK = 256;

    @Override
    protected void contenders(Trial trial) {
        trial.graft("row_scale", inputs -> {
            Tensor x = inputs.random(1, RANK, shape().hidden());
            Tensor s = inputs.parameter(2, 1, RANK);
            Tensor y = inputs.output(RANK, shape().hidden());
            Tensor dy = inputs.parameter(3, 1, RANK, shape().hidden());
            Tensor ds = inputs.scope().tensor(Memory.GRADIENT, DType.F32, RANK);
            double elements = x.elements();
            return new Work(() -> {
                        RowScale.forward(inputs.context(), x, s, y);
                        RowScale.backward(inputs.context(), dy, x, s, null, ds);
                    })
                    .cost(3 * elements, elements * (3 * type().bytes() + 4));
        });
    }
}
