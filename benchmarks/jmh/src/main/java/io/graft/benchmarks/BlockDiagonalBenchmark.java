package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.BlockDiagonal;
import io.graft.ops.Linear;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** OFT: the layer's inputs turned by blocks of 32, then the frozen layer. */
public class BlockDiagonalBenchmark extends LayerBenchmark {
    private static final long BLOCK = 32;

    @Override
    protected void methods(Trial trial) {
        trial.graft("oft", inputs -> {
            Weight w = inputs.frozen(n(), k(), 0);
            Tensor r = inputs.parameter(3, 0.1, k() / BLOCK, BLOCK, BLOCK);
            Activations t = activations(inputs);
            Tensor turned = inputs.output(tokens, k());
            Tensor dturned = training() ? inputs.output(tokens, k()) : null;
            Tensor dr = training() ? inputs.gradient(r.shape()) : null;
            Work work = passes(
                    t,
                    () -> {
                        BlockDiagonal.forward(inputs.context(), t.x(), r, null, turned);
                        Linear.forward(inputs.context(), turned, w, null, false, t.y());
                    },
                    () -> {
                        Linear.backward(inputs.context(), t.dy(), null, w, false, dturned, null, null);
                        BlockDiagonal.backward(inputs.context(), dturned, t.x(), r, null, false, t.dx(), dr);
                    });
            double rotation = 2.0 * tokens * k() * BLOCK;
            return cost(work, w.bytes(), rotation * (training() ? 1.5 : 1), 2.0 * tokens * k() * type().bytes());
        });
    }
}
