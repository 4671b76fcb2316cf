package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchOps;
import io.graft.ops.RmsNorm;
import io.graft.tensor.DType;
import io.graft.tensor.Tensor;

/** The norm of a Llama block, with the gradient of its weight in training. */
public class RmsNormBenchmark extends TokenBenchmark {
    private static final double EPS = 1e-6;

    @Override
    protected void contenders(Trial trial) {
        long h = shape().hidden();
        trial.graft("rms_norm", inputs -> {
            Tensor x = inputs.random(1, tokens, h);
            Tensor w = inputs.random(3, h);
            Tensor y = inputs.output(tokens, h);
            double elements = (double) tokens * h;
            double bytes = type().bytes();
            if (!training()) {
                return new Work(() -> RmsNorm.forward(inputs.context(), x, w, EPS, y, null))
                        .gives("y", y)
                        .cost(4 * elements, 2 * elements * bytes);
            }
            Tensor dy = inputs.random(2, tokens, h);
            Tensor rstd = inputs.output(DType.F32, tokens);
            Tensor dx = inputs.output(tokens, h);
            Tensor dw = inputs.gradient(h);
            return new Work(() -> {
                        RmsNorm.forward(inputs.context(), x, w, EPS, y, rstd);
                        RmsNorm.backward(inputs.context(), dy, x, w, rstd, false, dx, dw);
                    })
                    .gives("y", y)
                    .gives("dx", dx)
                    .gives("dw", dw)
                    .cost(14 * elements, 5 * elements * bytes);
        });
        trial.torch(
                "libtorch",
                "rms_norm",
                inputs -> TorchOps.rmsNorm(
                        inputs.random(1, tokens, h),
                        inputs.random(3, h),
                        EPS,
                        training() ? inputs.random(2, tokens, h) : null));
        trial.torch(
                "libtorch composed",
                "rms_norm",
                inputs -> TorchOps.composedRmsNorm(
                        inputs.random(1, tokens, h),
                        inputs.random(3, h),
                        EPS,
                        training() ? inputs.random(2, tokens, h) : null));
    }
}
