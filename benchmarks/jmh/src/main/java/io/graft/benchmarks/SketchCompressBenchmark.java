package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.SketchCompress;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** The compressor of SketchTune on the keys' projection, each weight to its nearest value. */
public class SketchCompressBenchmark extends OpBenchmark {
    private static final long GROUPS = 4;
    private static final long VALUES = 16;

    @Override
    protected void contenders(Trial trial) {
        long n = shape().layer("k_proj").n();
        long k = shape().layer("k_proj").k();
        trial.graft("compress", inputs -> {
            Tensor matrix = inputs.frozen(n, k, 0).matrix();
            Tensor table = inputs.parameter(1, 1, n, GROUPS, VALUES);
            Weight w = inputs.scope().sketch(Memory.BASE, table, k);
            double bytes = (double) n * k * (type().bytes() + 0.5);
            return new Work(() -> SketchCompress.matrix(inputs.context(), matrix, null, null, 0, w, null))
                    .cost(0, bytes);
        });
    }
}
