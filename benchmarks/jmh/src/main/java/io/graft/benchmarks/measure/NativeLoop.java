package io.graft.benchmarks.measure;

import io.graft.binding.Native;
import io.graft.binding.Status;
import io.graft.binding.graft_context;
import io.graft.binding.graft_tensor;
import io.graft.tensor.Context;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.Platform;

/** Calls of the C interface from loops in C: binding of {@code graft/replay.h} and {@code src/main/native/native_loop.h}. */
@Platform(
        include = {"graft/graft.h", "native_loop.h"},
        link = "graft",
        library = "jnigraftbenchmarks")
public final class NativeLoop {
    static {
        Loader.load();
    }

    private NativeLoop() {}

    /** Remembers the ops of a context from now on, or no more. */
    static void record(Context context, boolean on) {
        Status.check(graft_context_record(context.pointer(), on ? 1 : 0));
    }

    /** Whether there are ops to run again; runs them once. */
    static boolean replays(Context context) {
        return graft_context_replay(context.pointer(), 1) == Native.GRAFT_OK;
    }

    /** Runs them so many times. */
    static void replay(Context context, long times) {
        Status.check(graft_context_replay(context.pointer(), times));
    }

    @Cast("graft_status")
    public static native int graft_benchmark_fill_loop(
            graft_context context, graft_tensor y, @Cast("int64_t") long calls);

    @Cast("graft_status")
    static native int graft_context_record(graft_context context, @Cast("int32_t") int on);

    @Cast("graft_status")
    static native int graft_context_replay(graft_context context, @Cast("int64_t") long times);
}
