package io.graft.benchmarks;

import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchOps;
import io.graft.ops.LinearCrossEntropy;
import io.graft.tensor.DType;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** The head of a model over its whole vocabulary with the loss, and in training the gradient of its inputs. */
public class LinearCrossEntropyBenchmark extends TokenBenchmark {
    private static final long IGNORED = -100;

    @Override
    protected void contenders(Trial trial) {
        trial.graft("linear_cross_entropy", this::loss);
        trial.torch(
                "libtorch",
                "linear_cross_entropy",
                inputs -> TorchOps.crossEntropy(
                        inputs.random(1, tokens, shape().hidden()), head(inputs).matrix(), labels(inputs), training()));
    }

    private Weight head(Inputs inputs) {
        return inputs.frozen(shape().vocabulary(), shape().hidden(), 0);
    }

    private Tensor labels(Inputs inputs) {
        return inputs.ids(tokens, shape().vocabulary());
    }

    private Work loss(Inputs inputs) {
        Tensor h = inputs.random(1, tokens, shape().hidden());
        Weight w = head(inputs);
        Tensor labels = labels(inputs);
        Tensor loss = inputs.output(DType.F32, 1);
        Tensor dh = training() ? inputs.output(tokens, shape().hidden()) : null;
        Work work = new Work(() -> LinearCrossEntropy.forward(
                        inputs.context(), h, w, labels, IGNORED, 0, 0, 1, loss, null, dh, null))
                .gives("loss", loss);
        if (training()) {
            work.gives("dh", dh);
        }
        int passes = training() ? 2 : 1;
        double weights = (double) w.n() * w.k();
        return work.cost(passes * 2 * tokens * weights, passes * (weights + (double) tokens * w.k()) * type().bytes());
    }
}
