package io.graft.benchmarks;

import io.graft.benchmarks.measure.ModelShape;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.TrialRecord;
import io.graft.tensor.DType;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.runner.IterationType;

/**
 * An op at the shapes of a real model. An iteration is one round, in which all contenders take their turns; the times of
 * each are JMH's secondary results with {@code -prof io.graft.benchmarks.measure.ContenderProfiler}, and
 * {@code GraftMemoryProfiler} adds their memory. The first value of each parameter is the one of a short run.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 2)
@Measurement(iterations = 11)
public abstract class OpBenchmark {
    /** Threads of every contender; 0: one for each processor. */
    private static final int THREADS = Integer.getInteger("graft.bench.threads", 0);

    private static final double SECONDS = Double.parseDouble(System.getProperty("graft.bench.seconds", "Infinity"));

    @Param({"llama-3.2-1b", "llama-3-8b", "llama-3.1-70b"})
    public String model;

    @Param({"bf16", "f32"})
    public String dtype;

    private Trial trial;
    private boolean measuring;

    /** Adds those that take turns. */
    protected abstract void contenders(Trial trial);

    protected final ModelShape shape() {
        return ModelShape.of(model);
    }

    protected final DType type() {
        return DType.valueOf(dtype.toUpperCase(Locale.ROOT));
    }

    /** Threads of every contender. */
    protected final int threads() {
        return THREADS == 0 ? Runtime.getRuntime().availableProcessors() : THREADS;
    }

    @Setup
    public void open() {
        trial = new Trial(type(), THREADS, SECONDS);
        contenders(trial);
    }

    @Setup(Level.Iteration)
    public void next(IterationParams iteration) {
        measuring = iteration.getType() == IterationType.MEASUREMENT;
    }

    /** All contenders once. */
    @Benchmark
    public void round() {
        trial.round(measuring);
    }

    @TearDown
    public void close(BenchmarkParams parameters) {
        TrialRecord.append(parameters, trial);
        trial.close();
    }
}
