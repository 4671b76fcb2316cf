package io.graft.benchmarks;

import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.PlainCopy;
import io.graft.benchmarks.measure.PlainProduct;
import io.graft.benchmarks.measure.Roofline;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.AdamWStep;
import io.graft.ops.Linear;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * What the machine can do: a large square product in the compute type, by Graft and by oneDNN or cuBLASLt, and a copy and a read
 * of memory far larger than the caches. No op; all others are held against the better of its times.
 */
public class RooflineBenchmark extends OpBenchmark {
    private static final int SIZE = 2048;
    private static final int TINY = 128;
    private static final int COPIED = 16 << 20;

    @Override
    protected void contenders(Trial trial) {
        boolean tiny = model.equals("tiny");
        int size = tiny ? TINY : SIZE;
        double flops = 2.0 * size * size * size;
        double bytes = 3.0 * size * size * type().bytes();
        trial.graft(Roofline.GEMM, inputs -> {
            Weight w = inputs.frozen(size, size, 0);
            Tensor x = inputs.random(1, size, size);
            Tensor y = inputs.output(size, size);
            return new Work(() -> Linear.forward(inputs.context(), x, w, null, false, y))
                    .gives("y", y)
                    .cost(flops, bytes);
        });
        trial.plain(Roofline.GEMM + " " + PlainProduct.library(device()), Roofline.GEMM, inputs -> plain(inputs, size));
        trial.graft(Roofline.COPY, inputs -> {
            Tensor x = written(inputs, tiny ? COPIED >> 10 : COPIED);
            Tensor y = inputs.output(DType.F32, tiny ? COPIED >> 10 : COPIED);
            Runnable copy = device().isCpu()
                    ? () -> PlainCopy.copy(x, y, threads())
                    : () -> TensorOps.copy(inputs.context(), x, y);
            return new Work(copy).cost(0, 8.0 * x.elements());
        });
        trial.graft(Roofline.READ, inputs -> {
            Tensor x = written(inputs, tiny ? COPIED >> 10 : 2 * COPIED);
            Tensor sum = inputs.output(DType.F64, 1);
            return new Work(() -> AdamWStep.squaredNorm(inputs.context(), x, sum)).cost(0, 4.0 * x.elements());
        });
    }

    /** why: memory that nobody has written is one page of zeros, read from the cache. */
    private static Tensor written(Inputs inputs, int elements) {
        return inputs.parameter(2, 1, elements);
    }

    private Work plain(Inputs inputs, int size) {
        Tensor w = inputs.frozen(size, size, 0).matrix();
        Tensor y = inputs.output(size, size);
        return new Work(PlainProduct.forward(inputs, inputs.random(1, size, size), w, y)::run).gives("y", y);
    }
}
