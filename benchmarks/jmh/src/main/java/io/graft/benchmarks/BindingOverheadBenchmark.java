package io.graft.benchmarks;

import io.graft.binding.Native;
import io.graft.binding.Status;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What a call from Java costs beyond the call itself: an op on one element, from Java and from a loop in C. The
 * difference of the two is the price of Java; add {@code -prof gc} to see that a call allocates nothing.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(3)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class BindingOverheadBenchmark {
    private static final int LOOP = 1000;

    private Context context;
    private Tensor y;

    @Setup
    public void open() {
        context = Context.cpu(1);
        y = context.scope().tensor(Memory.ACTIVATION, DType.F32, 1);
    }

    @TearDown
    public void close() {
        context.close();
    }

    /** A checked op through the Java API. */
    @Benchmark
    public void fillFromJava() {
        TensorOps.fill(context, 1, y);
    }

    /** The same op from a loop in C. */
    @Benchmark
    @OperationsPerInvocation(LOOP)
    public void fillFromC() {
        Status.check(FillLoop.graft_benchmark_fill_loop(context.pointer(), Tensor.pointer(context, y), LOOP));
    }

    /** The bare transition from Java to C and back. */
    @Benchmark
    public long emptyCall() {
        return Native.graft_dtype_bytes(Native.GRAFT_DTYPE_F32);
    }
}
