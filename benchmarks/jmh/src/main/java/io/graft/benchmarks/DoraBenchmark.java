package io.graft.benchmarks;

import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchLayers;
import io.graft.ops.Dora;
import io.graft.ops.LoraLinear;
import io.graft.tensor.DType;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** DoRA, with the norms of the merged rows that an optimiser step makes necessary in each forward. */
public class DoraBenchmark extends LayerBenchmark {
    @Override
    protected void methods(Trial trial) {
        trial.graft("dora", this::dora);
        trial.torch("libtorch dora", "dora", inputs -> TorchLayers.dora(inputs, this));
    }

    private Work dora(Inputs inputs) {
        Tensor a = a(inputs);
        Tensor b = b(inputs);
        Tensor m = magnitude(inputs);
        Weight w = inputs.frozen(n(), k(), rank);
        LoraLinear.pack(inputs.context(), a, b, SCALE, w);
        Tensor squared = inputs.output(DType.F32, n());
        Tensor norm = inputs.output(DType.F32, n());
        Dora.squaredNorms(inputs.context(), w, squared);
        Activations t = activations(inputs);
        Tensor kept = training() ? inputs.output(tokens, n() + rank) : null;
        Tensor da = training() ? inputs.gradient(rank, k()) : null;
        Tensor db = training() ? inputs.gradient(n(), rank) : null;
        Tensor dm = training() ? inputs.gradient(n()) : null;
        Work work = passes(
                t,
                () -> {
                    Dora.norms(inputs.context(), w, squared, a, b, SCALE, norm);
                    Dora.forward(inputs.context(), t.x(), w, a, b, SCALE, m, norm, null, 0, 0, 0, false, t.y(), kept);
                },
                () -> Dora.backward(
                        inputs.context(),
                        t.dy(),
                        t.x(),
                        kept,
                        w,
                        a,
                        b,
                        SCALE,
                        m,
                        norm,
                        0,
                        0,
                        0,
                        false,
                        t.dx(),
                        da,
                        db,
                        dm,
                        null));
        if (training()) {
            work.gives("da", da).gives("db", db).gives("dm", dm);
        }
        return lowRankCost(work, w);
    }
}
