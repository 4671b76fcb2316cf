package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.Linear;
import io.graft.ops.Nf4;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A frozen layer in NF4, decoded as it is multiplied, and beside it what is done without that: decode the whole matrix,
 * then multiply.
 */
public class Nf4Benchmark extends LayerBenchmark {
    @Override
    protected void methods(Trial trial) {
        trial.graft("nf4", inputs -> linear(inputs, inputs.nf4(n(), k())));
        trial.graft("nf4 decoded before", inputs -> {
            Weight w = inputs.nf4(n(), k());
            Weight dense = inputs.frozen(n(), k(), 0);
            Activations t = activations(inputs);
            Work work = passes(
                    t,
                    () -> {
                        Nf4.dequantize(inputs.context(), w, dense.matrix());
                        Linear.forward(inputs.context(), t.x(), dense, null, false, t.y());
                    },
                    () -> {
                        Nf4.dequantize(inputs.context(), w, dense.matrix());
                        Linear.backward(inputs.context(), t.dy(), null, dense, false, t.dx(), null, null);
                    });
            return cost(work, w.bytes() + 2 * dense.bytes(), 0, 0);
        });
        trial.graft("quantize", inputs -> {
            Weight w = inputs.nf4(n(), k());
            Tensor matrix = inputs.frozen(n(), k(), 0).matrix();
            double elements = (double) n() * k();
            return new Work(() -> Nf4.quantize(inputs.context(), matrix, w))
                    .cost(elements, elements * type().bytes() + w.bytes());
        });
    }
}
