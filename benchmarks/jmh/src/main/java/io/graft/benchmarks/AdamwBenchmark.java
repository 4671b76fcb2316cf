package io.graft.benchmarks;

import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.AdamWParameters;
import io.graft.ops.AdamWStep;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * A step of AdamW and the norm: of a whole matrix of attention, with its copy in the compute type; and of LoRA's factors on as
 * many of them as 32 blocks have, by a call for each and by one for all.
 */
public class AdamwBenchmark extends OpBenchmark {
    private static final int BLOCKS = 32;
    private static final int RANK = 16;

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
        trial.graft("factors", inputs -> factors(inputs, n, k, false));
        trial.graft("factors at once", inputs -> factors(inputs, n, k, true));
    }

    private static Work factors(Inputs inputs, long n, long k, boolean atOnce) {
        Context context = inputs.context();
        Tensor norm = inputs.scope().tensor(Memory.OPTIMIZER, DType.F64, 1);
        List<Tensor[]> parameters = new ArrayList<>();
        AdamWParameters table = new AdamWParameters(2 * BLOCKS);
        double elements = 0;
        for (int i = 0; i < 2 * BLOCKS; i++) {
            long[] shape = i % 2 == 0 ? new long[] {RANK, k} : new long[] {n, RANK};
            Tensor[] of = {
                inputs.parameter(2L * i + 2, 1, shape),
                inputs.parameter(2L * i + 1, 1, shape),
                inputs.scope().tensor(Memory.OPTIMIZER, DType.F32, shape),
                inputs.scope().tensor(Memory.OPTIMIZER, DType.F32, shape)
            };
            parameters.add(of);
            table.add(of[0], 1e-4, 0.01, 0, of[1], of[2], null, of[3], null, null, null);
            elements += of[0].elements();
        }
        return new Work(() -> {
                    TensorOps.fill(context, 0, norm);
                    if (atOnce) {
                        AdamWStep.squaredNorms(context, table, norm);
                        AdamWStep.steps(context, table, 0.9, 0.999, 1e-8, 1, 0, norm);
                        return;
                    }
                    for (Tensor[] of : parameters) {
                        AdamWStep.squaredNorm(context, of[0], norm);
                    }
                    for (Tensor[] of : parameters) {
                        AdamWStep.step(
                                context, of[0], 1e-4, 0.9, 0.999, 1e-8, 0.01, 1, 0, norm, 0, of[1], of[2], of[3], null);
                    }
                })
                .cost(15 * elements, elements * 8 * 4);
    }
}
