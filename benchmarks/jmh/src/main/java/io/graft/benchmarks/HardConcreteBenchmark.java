package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.HardConcrete;
import io.graft.tensor.DType;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** Diff pruning: the gated difference written into a matrix of attention, and its gradients. */
public class HardConcreteBenchmark extends OpBenchmark {
    @Override
    protected void contenders(Trial trial) {
        long n = shape().layer("q_proj").n();
        long k = shape().layer("q_proj").k();
        trial.graft("hard_concrete", inputs -> {
            Weight w = inputs.frozen(n, k, 0);
            Tensor original = inputs.frozen(n, k, 0).matrix();
            Tensor d = inputs.parameter(1, 0.1, n, k);
            Tensor a = inputs.parameter(2, 1, n, k);
            Tensor g = inputs.gradient(n, k);
            Tensor da = inputs.gradient(n, k);
            Tensor sums = inputs.output(DType.F64, 2);
            double elements = (double) n * k;
            HardConcrete.Mode sampled = HardConcrete.Mode.SAMPLED;
            return new Work(() -> {
                        HardConcrete.write(inputs.context(), d, a, original, sampled, 1, 0, -0.1, 1.1, 1, w);
                        HardConcrete.backward(inputs.context(), d, a, sampled, 1, 0, -0.1, 1.1, 1, 0.1, g, da, sums);
                    })
                    .cost(40 * elements, elements * (2 * type().bytes() + 8 * 4));
        });
    }
}
