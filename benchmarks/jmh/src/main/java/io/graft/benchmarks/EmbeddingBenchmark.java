package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchOps;
import io.graft.ops.Embedding;
import io.graft.tensor.Tensor;

/** Rows of the table of a model, and their gradients back into it. */
public class EmbeddingBenchmark extends TokenBenchmark {
    /** why: the gradient of a whole table takes gigabytes, and only its touched rows take time. */
    private static final int ROWS = 16384;

    @Override
    protected void contenders(Trial trial) {
        int v = Math.min(ROWS, shape().vocabulary());
        long h = shape().hidden();
        double elements = (double) tokens * h;
        double bytes = type().bytes();
        trial.graft("forward", inputs -> {
            Tensor table = inputs.frozen(v, h, 0).matrix();
            Tensor ids = inputs.ids(tokens, v);
            Tensor y = inputs.output(tokens, h);
            return new Work(() -> Embedding.forward(inputs.context(), table, ids, 1, y))
                    .gives("y", y)
                    .cost(0, 2 * elements * bytes);
        });
        trial.torch(
                "libtorch",
                "forward",
                inputs -> TorchOps.embedding(inputs.frozen(v, h, 0).matrix(), inputs.ids(tokens, v)));
        if (training()) {
            trial.graft("backward", inputs -> {
                Tensor ids = inputs.ids(tokens, v);
                Tensor dy = inputs.random(2, tokens, h);
                Tensor dtable = inputs.gradient(v, h);
                return new Work(() -> Embedding.backward(inputs.context(), ids, dy, 1, dtable))
                        .cost(elements, elements * (bytes + 8));
            });
        }
    }
}
