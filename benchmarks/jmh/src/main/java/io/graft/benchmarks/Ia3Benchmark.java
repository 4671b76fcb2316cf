package io.graft.benchmarks;

import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchLayers;
import io.graft.ops.Ia3;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** (IA)³ at the outputs, as of k and v, and at the inputs, as of down. */
public class Ia3Benchmark extends LayerBenchmark {
    @Override
    protected void methods(Trial trial) {
        trial.graft("ia3 outputs", inputs -> ia3(inputs, false));
        trial.torch("libtorch ia3 outputs", "ia3 outputs", inputs -> TorchLayers.ia3(inputs, this, false));
        trial.graft("ia3 inputs", inputs -> ia3(inputs, true));
        trial.torch("libtorch ia3 inputs", "ia3 inputs", inputs -> TorchLayers.ia3(inputs, this, true));
    }

    private Work ia3(Inputs inputs, boolean atInputs) {
        Weight w = inputs.frozen(n(), k(), 0);
        Tensor l = scales(inputs, atInputs);
        Tensor in = atInputs ? l : null;
        Tensor out = atInputs ? null : l;
        Activations t = activations(inputs);
        Tensor z = training() && !atInputs ? inputs.output(tokens, n()) : null;
        Tensor dl = training() ? inputs.gradient(l.size(0)) : null;
        Tensor kept = atInputs ? t.x() : null;
        Work work = passes(
                t,
                () -> Ia3.forward(inputs.context(), t.x(), w, in, out, null, false, t.y(), z),
                () -> Ia3.backward(
                        inputs.context(),
                        t.dy(),
                        kept,
                        z,
                        w,
                        in,
                        out,
                        false,
                        t.dx(),
                        atInputs ? dl : null,
                        atInputs ? null : dl,
                        null));
        if (training()) {
            work.gives("dl", dl);
        }
        return cost(work, w.bytes(), 2.0 * tokens * l.size(0), 4.0 * l.size(0));
    }
}
