package io.graft.benchmarks;

import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.LoraSegments;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** A batch whose rows name one of four LoRA adapters, each a quarter of the rows. */
public class LoraSegmentsBenchmark extends LayerBenchmark {
    private static final int ADAPTERS = 4;

    @Override
    protected void methods(Trial trial) {
        trial.graft("lora segments", this::segments);
    }

    private Work segments(Inputs inputs) {
        int[] ends = new int[2 * ADAPTERS];
        int[] ranks = new int[ADAPTERS];
        double[] scales = new double[ADAPTERS];
        for (int i = 0; i < ADAPTERS; i++) {
            ends[2 * i] = tokens * (i + 1) / ADAPTERS;
            ends[2 * i + 1] = i;
            ranks[i] = rank;
            scales[i] = SCALE;
        }
        Tensor segments =
                inputs.scope().tensor(Memory.ADAPTER, DType.I32, ADAPTERS, 2).set(ends);
        Tensor rankTensor =
                inputs.scope().tensor(Memory.ADAPTER, DType.I32, ADAPTERS).set(ranks);
        Tensor scaleTensor =
                inputs.scope().tensor(Memory.ADAPTER, DType.F64, ADAPTERS).set(scales);
        Weight w = inputs.frozen(n(), k(), 0);
        Tensor a = inputs.parameter(3, 1 / Math.sqrt(k()), (long) ADAPTERS * rank, k());
        Tensor b = inputs.parameter(4, 0.1, n(), (long) ADAPTERS * rank);
        Activations t = activations(inputs);
        Tensor s = training() ? inputs.output(tokens, rank) : null;
        Tensor da = training() ? inputs.gradient((long) ADAPTERS * rank, k()) : null;
        Tensor db = training() ? inputs.gradient(n(), (long) ADAPTERS * rank) : null;
        Work work = passes(
                t,
                () -> LoraSegments.forward(
                        inputs.context(),
                        t.x(),
                        w,
                        segments,
                        rankTensor,
                        scaleTensor,
                        a,
                        b,
                        null,
                        0,
                        0,
                        0,
                        false,
                        t.y(),
                        s),
                () -> LoraSegments.backward(
                        inputs.context(),
                        t.dy(),
                        t.x(),
                        s,
                        w,
                        segments,
                        rankTensor,
                        scaleTensor,
                        a,
                        b,
                        0,
                        0,
                        0,
                        false,
                        t.dx(),
                        da,
                        db,
                        null));
        return lowRankCost(work, w);
    }
}
