package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.Fourier;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.Random;

/** FourierFT: 1000 entries of the spectrum of a matrix beside W. */
public class FourierBenchmark extends LayerBenchmark {
    private static final int ENTRIES = 1000;

    @Override
    protected void methods(Trial trial) {
        trial.graft("fourierft", inputs -> {
            Weight w = inputs.frozen(n(), k(), 0);
            Random random = new Random(3);
            int[] places = new int[2 * ENTRIES];
            for (int i = 0; i < ENTRIES; i++) {
                places[i] = random.nextInt(Math.toIntExact(n()));
                places[ENTRIES + i] = random.nextInt(Math.toIntExact(k()));
            }
            Tensor at =
                    inputs.scope().tensor(Memory.ADAPTER, DType.I32, 2, ENTRIES).set(places);
            Tensor c = inputs.parameter(3, 1, ENTRIES);
            Activations t = activations(inputs);
            Tensor dc = training() ? inputs.gradient(ENTRIES) : null;
            Work work = beside(
                    inputs,
                    w,
                    t,
                    () -> Fourier.forward(inputs.context(), t.x(), c, at, SCALE, true, t.y()),
                    () -> Fourier.backward(inputs.context(), t.dy(), t.x(), c, at, SCALE, k(), true, t.dx(), dc));
            double transforms = 2.5 * (n() + k()) * (Math.log(Math.max(n(), k())) / Math.log(2));
            return cost(work, w.bytes(), tokens * (transforms + 8.0 * ENTRIES), 0);
        });
    }
}
