package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.Rows;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** S2FT and FAR: some rows of W trained in place. */
public class RowsBenchmark extends LayerBenchmark {
    @Override
    protected void methods(Trial trial) {
        trial.graft("rows", inputs -> {
            Weight w = inputs.frozen(n(), k(), 0);
            Tensor indices = inputs.indices(rank, n());
            Activations t = activations(inputs);
            Tensor dd = training() ? inputs.gradient(rank, k()) : null;
            Work work =
                    beside(inputs, w, t, () -> {}, () -> Rows.gradient(inputs.context(), t.dy(), t.x(), indices, dd));
            return cost(work, w.bytes(), training() ? (double) tokens * rank * k() : 0, 4.0 * rank * k());
        });
    }
}
