package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.Mixture;
import io.graft.tensor.Tensor;

/** What a mixture of eight low-rank experts adds between A and B: gates for the best two, and blocks weighed by them. */
public class MixtureBenchmark extends TokenBenchmark {
    private static final long EXPERTS = 8;
    private static final long RANK = 16;

    @Override
    protected void contenders(Trial trial) {
        trial.graft("mixture", inputs -> {
            Tensor logits = inputs.random(1, tokens, EXPERTS);
            Tensor gates = inputs.output(tokens, EXPERTS);
            Tensor x = inputs.random(2, tokens, EXPERTS * RANK);
            Tensor y = inputs.output(tokens, EXPERTS * RANK);
            double elements = x.elements();
            double bytes = type().bytes();
            Runnable forward = () -> {
                Mixture.routeForward(inputs.context(), logits, 2, false, gates);
                Mixture.blocksForward(inputs.context(), x, gates, 1, y);
            };
            if (!training()) {
                return new Work(forward).cost(elements, 2 * elements * bytes);
            }
            Tensor dy = inputs.random(3, tokens, EXPERTS * RANK);
            Tensor dx = inputs.output(tokens, EXPERTS * RANK);
            Tensor dgates = inputs.output(tokens, EXPERTS);
            Tensor dlogits = inputs.output(tokens, EXPERTS);
            return new Work(() -> {
                        forward.run();
                        Mixture.blocksBackward(inputs.context(), dy, x, gates, 1, dx, dgates);
                        Mixture.routeBackward(inputs.context(), logits, gates, dgates, false, 0, null, dlogits, null);
                    })
                    .cost(4 * elements, 5 * elements * bytes);
        });
    }
}
