package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.Kronecker;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** LoKr: a Kronecker product of an 8 × 8 factor and a low-rank one beside W. */
public class KroneckerBenchmark extends LayerBenchmark {
    private static final long FACTOR = 8;

    @Override
    protected void methods(Trial trial) {
        trial.graft("lokr", inputs -> {
            Weight w = inputs.frozen(n(), k(), 0);
            Tensor w1 = inputs.parameter(3, 0.5, 1, FACTOR, FACTOR);
            Tensor b = inputs.parameter(4, 0.1, 1, n() / FACTOR, rank);
            Tensor a = inputs.parameter(5, 0.1, 1, rank, k() / FACTOR);
            Activations t = activations(inputs);
            Tensor dw1 = training() ? inputs.gradient(w1.shape()) : null;
            Tensor db = training() ? inputs.gradient(b.shape()) : null;
            Tensor da = training() ? inputs.gradient(a.shape()) : null;
            Work work = beside(
                    inputs,
                    w,
                    t,
                    () -> Kronecker.forward(inputs.context(), t.x(), w1, b, a, SCALE, true, t.y()),
                    () -> Kronecker.backward(
                            inputs.context(), t.dy(), t.x(), w1, b, a, SCALE, true, t.dx(), dw1, db, da));
            double perToken = rank * (n() + k()) + FACTOR * FACTOR * rank;
            return cost(work, w.bytes(), 2 * tokens * perToken * (training() ? 1.5 : 1), 0);
        });
    }
}
