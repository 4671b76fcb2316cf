package io.graft.benchmarks;

import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchOps;
import io.graft.ops.Attention;
import io.graft.tensor.DType;
import io.graft.tensor.Tensor;

/** Causal attention of one sequence; a decoded token looks back at 2048. */
public class AttentionBenchmark extends TokenBenchmark {
    private static final int CACHED = 2048;

    @Override
    protected void contenders(Trial trial) {
        trial.graft("attention", this::attention);
        // why: LibTorch's causal mask begins at the first key, so a few tokens behind a cache need another one.
        if (training() || tokens == 1) {
            trial.torch(
                    "libtorch",
                    "attention",
                    inputs -> TorchOps.attention(
                            q(inputs), k(inputs), v(inputs), scale(), training() ? dout(inputs) : null));
        }
    }

    private int keys() {
        return training() ? tokens : CACHED;
    }

    private double scale() {
        return 1 / Math.sqrt(shape().headSize());
    }

    private Tensor q(Inputs inputs) {
        return inputs.random(1, 1, tokens, shape().heads(), shape().headSize());
    }

    private Tensor k(Inputs inputs) {
        return inputs.random(3, 1, keys(), shape().kvHeads(), shape().headSize());
    }

    private Tensor v(Inputs inputs) {
        return inputs.random(4, 1, keys(), shape().kvHeads(), shape().headSize());
    }

    private Tensor dout(Inputs inputs) {
        return inputs.random(2, 1, tokens, shape().heads(), shape().headSize());
    }

    private Work attention(Inputs inputs) {
        Tensor q = q(inputs);
        Tensor k = k(inputs);
        Tensor v = v(inputs);
        Tensor o = inputs.output(q.shape());
        long past = keys() - tokens;
        double scale = scale();
        // Each query sees the keys up to its own: half of them where all positions are queries.
        double pairs = tokens * (past + (tokens + 1) / 2.0) * shape().heads();
        double product = 2 * pairs * shape().headSize();
        double bytes = type().bytes();
        if (!training()) {
            return new Work(() -> Attention.forward(inputs.context(), q, k, v, null, null, scale, 0, past, 0, o, null))
                    .gives("y", o)
                    .cost(2 * product, bytes * (2 * q.elements() + 2 * k.elements()));
        }
        Tensor dout = dout(inputs);
        Tensor lse = inputs.output(DType.F32, 1, shape().heads(), tokens);
        Tensor dq = inputs.output(q.shape());
        Tensor dk = inputs.output(k.shape());
        Tensor dv = inputs.output(v.shape());
        return new Work(() -> {
                    Attention.forward(inputs.context(), q, k, v, null, null, scale, 0, past, 0, o, lse);
                    Attention.backward(
                            inputs.context(), dout, q, k, v, o, lse, null, null, scale, 0, past, 0, dq, dk, dv);
                })
                .gives("y", o)
                .gives("dq", dq)
                .gives("dk", dk)
                .gives("dv", dv)
                .cost(7 * product, bytes * (6 * q.elements() + 6 * k.elements()));
    }
}
