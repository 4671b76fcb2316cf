package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.peers.TorchOps;
import io.graft.ops.Activation;

/** The sigmoid between the two halves of an MLP. */
public class ActivationBenchmark extends TokenBenchmark {
    private static final Activation.Kind KIND = Activation.Kind.SIGMOID;

    @Override
    protected void contenders(Trial trial) {
        trial.graft(
                "sigmoid",
                inputs -> ElementwiseWork.of(
                        inputs,
                        tokens,
                        shape().intermediate(),
                        training(),
                        (context, x, y) -> Activation.forward(context, KIND, x, y),
                        (context, dy, x, y, dx) -> Activation.backward(context, KIND, dy, y, dx)));
        trial.torch(
                "libtorch",
                "sigmoid",
                inputs -> TorchOps.sigmoid(
                        ElementwiseWork.x(inputs, tokens, shape().intermediate()),
                        training() ? ElementwiseWork.dy(inputs, tokens, shape().intermediate()) : null));
    }
}
