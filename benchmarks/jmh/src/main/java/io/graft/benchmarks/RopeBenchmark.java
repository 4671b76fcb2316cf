package io.graft.benchmarks;

import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchOps;
import io.graft.ops.Rope;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import java.util.function.DoubleUnaryOperator;

/** The rotation of a block's queries. */
public class RopeBenchmark extends TokenBenchmark {
    private static final double THETA = 500000;

    @Override
    protected void contenders(Trial trial) {
        trial.graft("rope", this::rope);
        trial.torch(
                "libtorch composed",
                "rope",
                inputs -> TorchOps.rope(
                        x(inputs), turns(inputs, Math::cos), turns(inputs, Math::sin), training() ? dy(inputs) : null));
    }

    private Tensor x(Inputs inputs) {
        return inputs.random(1, 1, tokens, shape().heads(), shape().headSize());
    }

    private Tensor dy(Inputs inputs) {
        return inputs.random(2, 1, tokens, shape().heads(), shape().headSize());
    }

    /** cos or sin of each position's angles [T, D], the second half like the first. */
    private Tensor turns(Inputs inputs, DoubleUnaryOperator function) {
        int d = shape().headSize();
        float[] values = new float[tokens * d];
        for (int i = 0; i < values.length; i++) {
            int pair = i % d % (d / 2);
            values[i] = (float) function.applyAsDouble(i / d * Math.pow(THETA, -2.0 * pair / d));
        }
        return inputs.output(DType.F32, tokens, d).set(values);
    }

    private Work rope(Inputs inputs) {
        Tensor x = x(inputs);
        Tensor y = inputs.output(x.shape());
        int[] places = new int[tokens];
        for (int i = 0; i < tokens; i++) {
            places[i] = i;
        }
        Tensor positions =
                inputs.scope().tensor(Memory.ACTIVATION, DType.I32, 1, tokens).set(places);
        Tensor frequencies = inputs.output(DType.F32, shape().headSize() / 2);
        Rope.frequencies(inputs.context(), THETA, Rope.Scaling.NONE, 0, 0, 0, 0, frequencies);
        double elements = x.elements();
        double bytes = type().bytes();
        if (!training()) {
            return new Work(() -> Rope.forward(inputs.context(), x, positions, frequencies, false, 1, y))
                    .gives("y", y)
                    .cost(3 * elements, 2 * elements * bytes);
        }
        Tensor dy = dy(inputs);
        Tensor dx = inputs.output(x.shape());
        return new Work(() -> {
                    Rope.forward(inputs.context(), x, positions, frequencies, false, 1, y);
                    Rope.backward(inputs.context(), dy, positions, frequencies, false, 1, dx);
                })
                .gives("y", y)
                .gives("dx", dx)
                .cost(6 * elements, 4 * elements * bytes);
    }
}
