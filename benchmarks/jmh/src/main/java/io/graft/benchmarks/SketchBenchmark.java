package io.graft.benchmarks;

import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchCodes;
import io.graft.ops.Sketch;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** SketchTune: codes of 4 bits into 4 tables for each row, with the gradient of the tables in training. */
public class SketchBenchmark extends LayerBenchmark {
    private static final long GROUPS = 4;
    private static final long VALUES = 16;

    @Override
    protected void methods(Trial trial) {
        trial.graft("sketch", inputs -> {
            Tensor table = table(inputs);
            Weight w = inputs.sketch(table, k());
            Activations t = activations(inputs);
            Tensor dtable = training() ? inputs.gradient(n(), GROUPS, VALUES) : null;
            Work work = beside(
                    inputs, w, t, () -> {}, () -> Sketch.tableGradient(inputs.context(), t.dy(), t.x(), w, dtable));
            if (training()) {
                work.gives("dtable", dtable);
            }
            double tables = 4.0 * n() * GROUPS * VALUES;
            return cost(work, w.bytes() + tables, training() ? (double) tokens * n() * k() : 0, 0);
        });
        trial.torch("libtorch sketch", "sketch", inputs -> TorchCodes.sketch(inputs, this, table(inputs)));
    }

    private Tensor table(Inputs inputs) {
        return inputs.parameter(5, Math.sqrt(3.0 / k()), n(), GROUPS, VALUES);
    }
}
