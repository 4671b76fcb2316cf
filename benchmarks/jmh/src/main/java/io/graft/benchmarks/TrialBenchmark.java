package io.graft.benchmarks;

import io.graft.benchmarks.measure.Forecast;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.TrialRecord;
import io.graft.tensor.DType;
import io.graft.tensor.Device;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.runner.IterationType;

/**
 * Contenders that take turns. An iteration is one round, in which all contenders take their turns; the times of
 * each are JMH's secondary results with {@code -prof io.graft.benchmarks.measure.ContenderProfiler}, and
 * {@code GraftMemoryProfiler} adds their memory. The first value of each parameter is the one of a short run.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = TrialBenchmark.WARM_UP)
@Measurement(iterations = TrialBenchmark.ROUNDS)
public abstract class TrialBenchmark {
    /** Threads of every contender; 0, as without it: one for each processor. */
    public static final String THREADS = "graft.bench.threads";

    /** What contenders run on: {@code cpu}, as without it, or {@code cuda:N}. */
    public static final String DEVICE = "graft.bench.device";

    /** Seconds after which no more rounds are measured; without it there is no limit. */
    public static final String SECONDS = "graft.bench.seconds";

    /** Rounds that are not measured, and those that are unless somebody says how many. */
    public static final int WARM_UP = 2;

    public static final int ROUNDS = 11;

    private Trial trial;
    private boolean measuring;

    /** Adds those that take turns. */
    protected abstract void contenders(Trial trial);

    /** What contenders compute in. */
    protected DType type() {
        return DType.F32;
    }

    /** Threads of every contender. */
    protected final int threads() {
        int named = Integer.getInteger(THREADS, 0);
        return named == 0 ? Runtime.getRuntime().availableProcessors() : named;
    }

    protected final Device device() {
        return Device.parse(System.getProperty(DEVICE, "cpu"));
    }

    /**
     * Memory and cost of the contenders that this benchmark would have with its parameters; nothing is computed.
     *
     * @param threads of each, 0 for all processors
     * @param torch whether LibTorch will be there
     */
    public final Forecast forecast(Device device, int threads, boolean torch) {
        try (Trial planned = plan(device, threads, torch)) {
            return planned.forecast();
        }
    }

    final Trial plan(Device device, int threads, boolean torch) {
        Trial planned = Trial.planning(type(), device, threads, torch);
        try {
            contenders(planned);
            return planned;
        } catch (RuntimeException | Error failure) {
            planned.close();
            throw failure;
        }
    }

    @Setup
    public void open() {
        double seconds = Double.parseDouble(System.getProperty(SECONDS, "Infinity"));
        trial = new Trial(type(), device(), Integer.getInteger(THREADS, 0), seconds);
        try {
            contenders(trial);
        } catch (RuntimeException | Error failure) {
            // why: JMH ends a benchmark whose preparation failed without its end.
            trial.close();
            throw failure;
        }
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
