package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.Sparse;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** SHiRA: the largest 2 % of the entries of W trained in place, and their choice. */
public class SparseBenchmark extends LayerBenchmark {
    private static final long OF = 50;

    @Override
    protected void methods(Trial trial) {
        trial.graft(
                "sparse 2 %",
                inputs -> {
                    Weight w = inputs.frozen(n(), k(), 0);
                    Tensor indices = inputs.scope().tensor(Memory.ADAPTER, DType.I32, 2, n() * k() / OF);
                    Sparse.select(inputs.context(), Sparse.Score.ABSOLUTE, w.matrix(), null, true, indices);
                    Activations t = activations(inputs);
                    Tensor dd = training() ? inputs.gradient(indices.size(1)) : null;
                    Work work = beside(
                            inputs,
                            w,
                            t,
                            () -> {},
                            () -> Sparse.gradient(inputs.context(), t.dy(), t.x(), indices, dd));
                    double chosen = indices.size(1);
                    return cost(work, w.bytes(), training() ? tokens * chosen : 0, training() ? 6 * chosen : 0);
                });
        trial.graft("select", inputs -> {
            Tensor matrix = inputs.frozen(n(), k(), 0).matrix();
            Tensor indices = inputs.scope().tensor(Memory.ADAPTER, DType.I32, 2, n() * k() / OF);
            return new Work(() -> Sparse.select(inputs.context(), Sparse.Score.ABSOLUTE, matrix, null, true, indices))
                    .cost(0, (double) n() * k() * type().bytes() + 4.0 * indices.elements());
        });
    }
}
