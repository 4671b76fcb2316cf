package io.graft.benchmarks.measure;

import io.graft.tensor.Tensor;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.Name;
import org.bytedeco.javacpp.annotation.Platform;

/** Binding of {@code src/main/native/plain_copy.h}: a copy of memory by threads. */
@Platform(
        include = {"graft/graft.h", "plain_copy.h"},
        link = "graft",
        library = "jnigraftbenchmarks")
public final class PlainCopy {
    static {
        Loader.load();
    }

    private PlainCopy() {}

    /** Copies so many bytes, each thread its part. */
    @Name("graft_plain_copy")
    private static native void copy(
            @Cast("const void*") Pointer from, Pointer to, @Cast("int64_t") long bytes, int threads);

    /** Copies one contiguous tensor to another of its size. */
    public static void copy(Tensor from, Tensor to, int threads) {
        copy(Address.of(from), Address.of(to), from.elements() * from.dtype().bytes(), threads);
    }
}
