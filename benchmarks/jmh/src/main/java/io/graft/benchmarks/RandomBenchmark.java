package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.Random;
import io.graft.tensor.Tensor;

/** Random numbers for a matrix of attention. */
public class RandomBenchmark extends OpBenchmark {
    @Override
    protected void contenders(Trial trial) {
        long n = shape().layer("q_proj").n();
        long k = shape().layer("q_proj").k();
        double bytes = (double) n * k * type().bytes();
        trial.graft("uniform", inputs -> {
            Tensor y = inputs.output(n, k);
            return new Work(() -> Random.uniform(inputs.context(), 1, 0, -1, 1, y)).cost(0, bytes);
        });
        trial.graft("normal", inputs -> {
            Tensor y = inputs.output(n, k);
            return new Work(() -> Random.normal(inputs.context(), 1, 0, 0, 1, y)).cost(0, bytes);
        });
        trial.graft("add normal", inputs -> {
            Tensor y = inputs.output(n, k);
            return new Work(() -> Random.addNormal(inputs.context(), 1, 0, 1e-3, y)).cost(0, 2 * bytes);
        });
        trial.graft("keep", inputs -> {
            Tensor y = inputs.random(1, n, k);
            return new Work(() -> Random.keep(inputs.context(), 1, 0, 1, y)).cost(0, 2 * bytes);
        });
    }
}
