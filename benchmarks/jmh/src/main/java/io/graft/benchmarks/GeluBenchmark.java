package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.peers.TorchOps;
import io.graft.ops.Gelu;

/** GELU in its tanh form between the two halves of an MLP. */
public class GeluBenchmark extends TokenBenchmark {
    @Override
    protected void contenders(Trial trial) {
        trial.graft(
                "gelu",
                inputs -> ElementwiseWork.of(
                        inputs,
                        tokens,
                        shape().intermediate(),
                        training(),
                        (context, x, y) -> Gelu.forward(context, Gelu.Kind.TANH, x, y),
                        (context, dy, x, y, dx) -> Gelu.backward(context, Gelu.Kind.TANH, dy, x, dx)));
        trial.torch(
                "libtorch",
                "gelu",
                inputs -> TorchOps.gelu(
                        ElementwiseWork.x(inputs, tokens, shape().intermediate()),
                        training() ? ElementwiseWork.dy(inputs, tokens, shape().intermediate()) : null));
    }
}
