package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.Cayley;
import io.graft.tensor.Tensor;

/** The rotations of an OFT layer from their entries, by five terms of the series, with the gradient. */
public class CayleyBenchmark extends OpBenchmark {
    private static final long BLOCK = 32;
    private static final int TERMS = 5;

    @Override
    protected void contenders(Trial trial) {
        long blocks = shape().hidden() / BLOCK;
        trial.graft("cayley", inputs -> {
            Tensor q = inputs.parameter(1, 0.1, blocks, BLOCK * (BLOCK - 1) / 2);
            Tensor r = inputs.output(blocks, BLOCK, BLOCK);
            Tensor dr = inputs.parameter(2, 1, blocks, BLOCK, BLOCK);
            Tensor dq = inputs.gradient(q.shape());
            double cubes = 2.0 * blocks * BLOCK * BLOCK * BLOCK;
            double bytes = blocks * BLOCK * BLOCK * (4.0 + type().bytes() + 4 * 1.5);
            return new Work(() -> {
                        Cayley.forward(inputs.context(), q, TERMS, r);
                        Cayley.backward(inputs.context(), dr, q, TERMS, dq);
                    })
                    .cost(3 * (TERMS - 2) * cubes, bytes);
        });
    }
}
