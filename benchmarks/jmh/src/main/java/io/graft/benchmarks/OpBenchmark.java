package io.graft.benchmarks;

import io.graft.benchmarks.measure.ModelShape;
import io.graft.tensor.DType;
import java.util.Locale;
import org.openjdk.jmh.annotations.Param;

/** An op at the shapes of a real model. */
public abstract class OpBenchmark extends TrialBenchmark {
    @Param({"llama-3.2-1b", "llama-3-8b", "llama-3.1-70b"})
    public String model;

    @Param({"bf16", "f32"})
    public String dtype;

    @Override
    protected final DType type() {
        return DType.valueOf(dtype.toUpperCase(Locale.ROOT));
    }

    protected final ModelShape shape() {
        return ModelShape.of(model);
    }
}
