package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.Circulant;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** C3A: circulant blocks beside W, by frequencies. */
public class CirculantBenchmark extends LayerBenchmark {
    private static final long BLOCK = 128;

    @Override
    protected void methods(Trial trial) {
        trial.graft("c3a", inputs -> {
            long block = Math.min(BLOCK, Math.min(n(), k()));
            Weight w = inputs.frozen(n(), k(), 0);
            Tensor kernel = inputs.parameter(3, 0.1, n() / block, k() / block, block);
            Activations t = activations(inputs);
            Tensor dkernel = training() ? inputs.gradient(kernel.shape()) : null;
            Work work = beside(
                    inputs,
                    w,
                    t,
                    () -> Circulant.forward(inputs.context(), t.x(), kernel, SCALE, true, t.y()),
                    () -> Circulant.backward(inputs.context(), t.dy(), t.x(), kernel, SCALE, true, t.dx(), dkernel));
            // Transforms of x and y, and a complex product for each frequency of each block.
            double transforms = 2.5 * (n() + k()) * (Math.log(block) / Math.log(2));
            double products = 4.0 * n() * k() / block;
            return cost(work, w.bytes(), tokens * (transforms + products) * (training() ? 1.5 : 1), 0);
        });
    }
}
