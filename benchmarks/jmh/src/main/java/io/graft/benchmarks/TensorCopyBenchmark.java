package io.graft.benchmarks;

import io.graft.benchmarks.measure.PlainCopy;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Tensor;

/** Copy, conversion to f32, addition and transposition of a matrix of the MLP, beside a copy by plain threads. */
public class TensorCopyBenchmark extends OpBenchmark {
    @Override
    protected void contenders(Trial trial) {
        long rows = shape().hidden();
        long columns = shape().intermediate();
        double bytes = (double) rows * columns * type().bytes();
        trial.graft("copy", inputs -> {
            Tensor x = inputs.random(1, rows, columns);
            Tensor y = inputs.output(rows, columns);
            return new Work(() -> TensorOps.copy(inputs.context(), x, y))
                    .gives("y", y)
                    .cost(0, 2 * bytes);
        });
        trial.peer("memcpy", "copy", inputs -> {
            Tensor x = inputs.random(1, rows, columns);
            Tensor y = inputs.output(rows, columns);
            return new Work(() -> PlainCopy.copy(x, y, threads())).gives("y", y);
        });
        trial.graft("convert", inputs -> {
            Tensor x = inputs.random(1, rows, columns);
            Tensor y = inputs.output(DType.F32, rows, columns);
            return new Work(() -> TensorOps.copy(inputs.context(), x, y)).cost(0, bytes + 4.0 * rows * columns);
        });
        trial.graft("add", inputs -> {
            Tensor x = inputs.output(rows, columns);
            Tensor y = inputs.random(1, rows, columns);
            return new Work(() -> TensorOps.add(inputs.context(), x, y)).cost((double) rows * columns, 3 * bytes);
        });
        trial.graft("transpose", inputs -> {
            Tensor x = inputs.random(1, rows, columns);
            Tensor y = inputs.output(columns, rows);
            return new Work(() -> TensorOps.transpose(inputs.context(), x, y)).cost(0, 2 * bytes);
        });
    }
}
