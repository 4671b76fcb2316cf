package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.KhatriRao;
import io.graft.tensor.Tensor;

/** LoHa's two pairs of factors of rank 8 joined into one pair of rank 64: here B [N, 64], with the gradients. */
public class KhatriRaoBenchmark extends OpBenchmark {
    private static final long RANK = 8;

    @Override
    protected void contenders(Trial trial) {
        long n = shape().layer("q_proj").n();
        trial.graft("khatri_rao", inputs -> {
            Tensor u = inputs.parameter(1, 1, n, RANK);
            Tensor v = inputs.parameter(2, 1, n, RANK);
            Tensor y = inputs.output(n, RANK * RANK);
            Tensor dy = inputs.parameter(3, 1, n, RANK * RANK);
            Tensor du = inputs.gradient(n, RANK);
            Tensor dv = inputs.gradient(n, RANK);
            double elements = (double) n * RANK * RANK;
            return new Work(() -> {
                        KhatriRao.forward(inputs.context(), u, v, true, y);
                        KhatriRao.backward(inputs.context(), dy, u, v, true, du, dv);
                    })
                    .gives("y", y)
                    .cost(5 * elements, elements * (type().bytes() + 4));
        });
    }
}
