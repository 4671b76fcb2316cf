package io.graft.benchmarks;

import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchCodes;
import io.graft.benchmarks.peers.TorchLayers;
import io.graft.ops.LoraLinear;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** LoRA over a dense weight, with and without dropout, and over an NF4 weight: QLoRA. */
public class LoraBenchmark extends LayerBenchmark {
    private static final double DROPOUT = 0.1;
    private static final long SEED = 7;

    @Override
    protected void methods(Trial trial) {
        trial.graft("lora", inputs -> lora(inputs, false, 0));
        trial.torch("libtorch lora", "lora", inputs -> TorchLayers.lora(inputs, this));
        if (training()) {
            trial.graft("lora dropout 0.1", inputs -> lora(inputs, false, DROPOUT));
        }
        trial.graft("qlora", inputs -> lora(inputs, true, 0));
        trial.torch("libtorch qlora", "qlora", inputs -> TorchCodes.qlora(inputs, this));
    }

    private Weight bordered(Inputs inputs, Tensor a, Tensor b) {
        Weight w = inputs.frozen(n(), k(), rank);
        LoraLinear.pack(inputs.context(), a, b, SCALE, w);
        return w;
    }

    private Work lora(Inputs inputs, boolean quantised, double dropout) {
        Tensor a = a(inputs);
        Tensor b = b(inputs);
        Weight w = quantised ? inputs.nf4(n(), k()) : bordered(inputs, a, b);
        Activations t = activations(inputs);
        Tensor s = training() ? inputs.output(tokens, rank) : null;
        Tensor da = training() ? inputs.gradient(rank, k()) : null;
        Tensor db = training() ? inputs.gradient(n(), rank) : null;
        Work work = passes(
                t,
                () -> LoraLinear.forward(
                        inputs.context(), t.x(), w, a, b, SCALE, null, dropout, SEED, 0, false, t.y(), s),
                () -> LoraLinear.backward(
                        inputs.context(),
                        t.dy(),
                        t.x(),
                        s,
                        w,
                        a,
                        b,
                        SCALE,
                        dropout,
                        SEED,
                        0,
                        false,
                        t.dx(),
                        da,
                        db,
                        null));
        if (training()) {
            work.gives("da", da).gives("db", db);
        }
        return lowRankCost(work, w);
    }
}
