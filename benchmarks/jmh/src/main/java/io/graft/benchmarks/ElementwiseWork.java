package io.graft.benchmarks;

import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Work;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** A function of each element of x [T, F] and its derivative: what activation functions have in common. */
final class ElementwiseWork {
    private ElementwiseWork() {}

    @FunctionalInterface
    interface Forward {
        void run(Context context, Tensor x, Tensor y);
    }

    @FunctionalInterface
    interface Backward {
        void run(Context context, Tensor dy, Tensor x, Tensor y, Tensor dx);
    }

    static Tensor x(Inputs inputs, long rows, long columns) {
        return inputs.random(1, rows, columns);
    }

    static Tensor dy(Inputs inputs, long rows, long columns) {
        return inputs.random(2, rows, columns);
    }

    static Work of(Inputs inputs, long rows, long columns, boolean training, Forward forward, Backward backward) {
        Context context = inputs.context();
        Tensor x = x(inputs, rows, columns);
        Tensor y = inputs.output(rows, columns);
        double elements = (double) rows * columns;
        double bytes = inputs.dtype().bytes();
        if (!training) {
            return new Work(() -> forward.run(context, x, y)).gives("y", y).cost(elements, 2 * elements * bytes);
        }
        Tensor dy = dy(inputs, rows, columns);
        Tensor dx = inputs.output(rows, columns);
        return new Work(() -> {
                    forward.run(context, x, y);
                    backward.run(context, dy, x, y, dx);
                })
                .gives("y", y)
                .gives("dx", dx)
                .cost(3 * elements, 5 * elements * bytes);
    }
}
