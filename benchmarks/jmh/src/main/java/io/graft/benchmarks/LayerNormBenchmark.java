package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchOps;
import io.graft.ops.LayerNorm;
import io.graft.tensor.DType;
import io.graft.tensor.Tensor;

/** Layer norm at the width of a model, with the gradients of its weight and bias in training. */
public class LayerNormBenchmark extends TokenBenchmark {
    private static final double EPS = 1e-5;

    @Override
    protected void contenders(Trial trial) {
        long h = shape().hidden();
        trial.graft("layer_norm", inputs -> {
            Tensor x = inputs.random(1, tokens, h);
            Tensor w = inputs.random(3, h);
            Tensor b = inputs.random(4, h);
            Tensor y = inputs.output(tokens, h);
            double elements = (double) tokens * h;
            double bytes = type().bytes();
            if (!training()) {
                return new Work(() -> LayerNorm.forward(inputs.context(), x, w, b, EPS, y, null))
                        .gives("y", y)
                        .cost(7 * elements, 2 * elements * bytes);
            }
            Tensor dy = inputs.random(2, tokens, h);
            Tensor stats = inputs.output(DType.F32, tokens, 2);
            Tensor dx = inputs.output(tokens, h);
            Tensor dw = inputs.gradient(h);
            Tensor db = inputs.gradient(h);
            return new Work(() -> {
                        LayerNorm.forward(inputs.context(), x, w, b, EPS, y, stats);
                        LayerNorm.backward(inputs.context(), dy, x, w, stats, false, dx, dw, db);
                    })
                    .gives("y", y)
                    .gives("dx", dx)
                    .gives("dw", dw)
                    .gives("db", db)
                    .cost(20 * elements, 5 * elements * bytes);
        });
        trial.torch(
                "libtorch",
                "layer_norm",
                inputs -> TorchOps.layerNorm(
                        inputs.random(1, tokens, h),
                        inputs.random(3, h),
                        inputs.random(4, h),
                        EPS,
                        training() ? inputs.random(2, tokens, h) : null));
    }
}
