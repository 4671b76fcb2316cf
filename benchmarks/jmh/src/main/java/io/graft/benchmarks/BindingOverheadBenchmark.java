package io.graft.benchmarks;

import io.graft.benchmarks.measure.ForeignCall;
import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.NativeLoop;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.binding.Native;
import io.graft.binding.Status;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import java.lang.invoke.MethodHandle;

/**
 * What a call from Java costs beyond the call itself: a checked op on one element, {@value #CALLS} times, from a loop in C
 * and from Java by each way there is. Microseconds of a row are nanoseconds of one call.
 */
public class BindingOverheadBenchmark extends TrialBenchmark {
    private static final int CALLS = 1000;
    /** As the loop in C has it. */
    private static final double VALUE = 1;

    /** why static and final: only of such a handle does the JIT compiler know what it calls. */
    private static final MethodHandle FOREIGN = ForeignCall.absence() == null ? ForeignCall.fill() : null;

    @Override
    protected void contenders(Trial trial) {
        trial.graft("c loop", inputs -> {
            Tensor y = element(inputs);
            return new Work(() -> Status.check(NativeLoop.graft_benchmark_fill_loop(
                            inputs.context().pointer(), Tensor.pointer(inputs.context(), y), CALLS)))
                    .gives("y", y);
        });
        trial.peer("javacpp", "c loop", inputs -> {
            Tensor y = element(inputs);
            return new Work(() -> {
                        for (int i = 0; i < CALLS; i++) {
                            TensorOps.fill(inputs.context(), VALUE, y);
                        }
                    })
                    .gives("y", y);
        });
        if (FOREIGN == null) {
            trial.absent("ffm", "c loop", ForeignCall.absence());
        } else {
            trial.peer("ffm", "c loop", BindingOverheadBenchmark::foreign);
        }
        trial.graft(
                "javacpp, empty call",
                inputs -> new Work(() -> {
                    for (int i = 0; i < CALLS; i++) {
                        Native.graft_dtype_bytes(Native.GRAFT_DTYPE_F32);
                    }
                }));
    }

    private static Tensor element(Inputs inputs) {
        return inputs.scope().tensor(Memory.ACTIVATION, DType.F32, 1);
    }

    private static Work foreign(Inputs inputs) {
        Tensor y = element(inputs);
        long context = inputs.context().pointer().address();
        long tensor = Tensor.pointer(inputs.context(), y).address();
        return new Work(() -> {
                    for (int i = 0; i < CALLS; i++) {
                        Status.check(fill(context, tensor));
                    }
                })
                .gives("y", y);
    }

    private static int fill(long context, long tensor) {
        try {
            return (int) FOREIGN.invokeExact(context, VALUE, tensor);
        } catch (Throwable failure) {
            throw new IllegalStateException("graft_tensor_fill by java.lang.foreign", failure);
        }
    }
}
