package io.graft.benchmarks;

import io.graft.binding.graft_context;
import io.graft.binding.graft_tensor;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.Platform;

/** Binding of {@code src/main/native/fill_loop.h}. */
@Platform(
        include = {"graft/graft.h", "fill_loop.h"},
        link = "graft",
        library = "jnigraftbenchmarks")
public final class FillLoop {
    static {
        Loader.load();
    }

    private FillLoop() {}

    @Cast("graft_status")
    public static native int graft_benchmark_fill_loop(
            graft_context context, graft_tensor y, @Cast("int64_t") long calls);
}
