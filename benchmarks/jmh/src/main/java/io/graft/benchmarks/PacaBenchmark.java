package io.graft.benchmarks;

import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchLayers;
import io.graft.ops.Paca;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** PaCA: some columns of W trained in place, or in a slab beside an NF4 weight (QPaCA). */
public class PacaBenchmark extends LayerBenchmark {
    @Override
    protected void methods(Trial trial) {
        trial.graft("paca", this::inPlace);
        trial.torch("libtorch paca", "paca", inputs -> TorchLayers.paca(inputs, this));
        trial.graft("qpaca", this::slab);
    }

    private Work inPlace(Inputs inputs) {
        Weight w = inputs.frozen(n(), k(), 0);
        Tensor indices = inputs.indices(rank, k());
        Activations t = activations(inputs);
        Tensor kept = training() ? inputs.output(tokens, rank) : null;
        Tensor dd = training() ? inputs.gradient(n(), rank) : null;
        Work work = passes(
                t,
                () -> Paca.forward(inputs.context(), t.x(), w, indices, null, false, t.y(), kept),
                () -> Paca.backward(inputs.context(), t.dy(), kept, w, 1, false, t.dx(), dd, null));
        return finish(work, w, dd);
    }

    private Work slab(Inputs inputs) {
        Weight w = inputs.nf4(n(), k());
        Tensor indices = inputs.indices(rank, k());
        Tensor d = b(inputs);
        Activations t = activations(inputs);
        Tensor kept = training() ? inputs.output(tokens, rank) : null;
        Tensor dd = training() ? inputs.gradient(n(), rank) : null;
        Work work = passes(
                t,
                () -> Paca.slabForward(inputs.context(), t.x(), w, indices, d, SCALE, null, false, t.y(), kept),
                () -> Paca.slabBackward(inputs.context(), t.dy(), kept, w, indices, d, SCALE, false, t.dx(), dd, null));
        return finish(work, w, dd);
    }

    private Work finish(Work work, Weight w, Tensor dd) {
        if (dd != null) {
            work.gives("dd", dd);
        }
        return cost(work, w.bytes(), training() ? (double) tokens * n() * rank : 0, 4.0 * n() * rank);
    }
}
