package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.Hira;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** HiRA: W times 1 + B A, element by element. */
public class HiraBenchmark extends LayerBenchmark {
    @Override
    protected void methods(Trial trial) {
        trial.graft("hira", inputs -> {
            Weight w = inputs.frozen(n(), k(), 0);
            Tensor a = a(inputs);
            Tensor b = b(inputs);
            Activations t = activations(inputs);
            Tensor da = training() ? inputs.gradient(rank, k()) : null;
            Tensor db = training() ? inputs.gradient(n(), rank) : null;
            Work work = passes(
                    t,
                    () -> Hira.forward(inputs.context(), t.x(), w, a, b, false, t.y()),
                    () -> Hira.backward(inputs.context(), t.dy(), t.x(), w, a, b, false, t.dx(), da, db));
            double elements = (double) n() * k();
            double merging = 2 * rank * elements;
            double gradients = tokens * elements + 2 * rank * elements;
            return cost(work, w.bytes(), training() ? merging + gradients : merging, 0);
        });
    }
}
