package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchLayers;
import io.graft.ops.Linear;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** The frozen layer, and in training the same with its whole weight gradient: full fine-tuning. */
public class LinearBenchmark extends LayerBenchmark {
    @Override
    protected void methods(Trial trial) {
        if (!training()) {
            return;
        }
        trial.graft("full", inputs -> {
            Weight w = inputs.frozen(n(), k(), 0);
            Activations tensors = activations(inputs);
            Tensor dw = inputs.gradient(n(), k());
            Work work = passes(
                            tensors,
                            () -> Linear.forward(inputs.context(), tensors.x(), w, null, false, tensors.y()),
                            () -> Linear.backward(
                                    inputs.context(), tensors.dy(), tensors.x(), w, false, tensors.dx(), dw, null))
                    .gives("dw", dw);
            return cost(work, w.bytes(), (double) tokens * n() * k(), 2.0 * n() * k());
        });
        trial.torch("libtorch full", "full", inputs -> TorchLayers.full(inputs, this));
    }
}
