package io.graft.benchmarks;

import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.ops.GroupSum;
import io.graft.tensor.Tensor;

/** QA-LoRA's sums of 32 neighbouring inputs. */
public class GroupSumBenchmark extends TokenBenchmark {
    private static final long GROUP = 32;

    @Override
    protected void contenders(Trial trial) {
        long h = shape().hidden();
        trial.graft("group_sum", inputs -> {
            Tensor x = inputs.random(1, tokens, h);
            Tensor y = inputs.output(tokens, h / GROUP);
            double elements = (double) tokens * h;
            double bytes = type().bytes() * (elements + elements / GROUP);
            if (!training()) {
                return new Work(() -> GroupSum.forward(inputs.context(), x, 1, y)).cost(elements, bytes);
            }
            Tensor dy = inputs.random(2, tokens, h / GROUP);
            Tensor dx = inputs.output(tokens, h);
            return new Work(() -> {
                        GroupSum.forward(inputs.context(), x, 1, y);
                        GroupSum.backward(inputs.context(), dy, 1, false, dx);
                    })
                    .cost(2 * elements, 2 * bytes);
        });
    }
}
