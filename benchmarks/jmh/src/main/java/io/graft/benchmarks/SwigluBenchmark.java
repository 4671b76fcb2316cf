package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchOps;
import io.graft.ops.SwiGlu;
import io.graft.tensor.Tensor;

/** The gate of a Llama MLP. */
public class SwigluBenchmark extends TokenBenchmark {
    @Override
    protected void contenders(Trial trial) {
        long f = shape().intermediate();
        trial.graft("swiglu", inputs -> {
            Tensor gate = inputs.random(1, tokens, f);
            Tensor up = inputs.random(3, tokens, f);
            Tensor y = inputs.output(tokens, f);
            double elements = (double) tokens * f;
            double bytes = type().bytes();
            if (!training()) {
                return new Work(() -> SwiGlu.forward(inputs.context(), SwiGlu.Kind.SILU, gate, up, y))
                        .gives("y", y)
                        .cost(3 * elements, 3 * elements * bytes);
            }
            Tensor dy = inputs.random(2, tokens, f);
            Tensor dgate = inputs.output(tokens, f);
            Tensor dup = inputs.output(tokens, f);
            return new Work(() -> {
                        SwiGlu.forward(inputs.context(), SwiGlu.Kind.SILU, gate, up, y);
                        SwiGlu.backward(inputs.context(), SwiGlu.Kind.SILU, dy, gate, up, dgate, dup);
                    })
                    .gives("y", y)
                    .gives("dgate", dgate)
                    .gives("dup", dup)
                    .cost(10 * elements, 8 * elements * bytes);
        });
        trial.torch(
                "libtorch",
                "swiglu",
                inputs -> TorchOps.swiglu(
                        inputs.random(1, tokens, f),
                        inputs.random(3, tokens, f),
                        training() ? inputs.random(2, tokens, f) : null));
    }
}
