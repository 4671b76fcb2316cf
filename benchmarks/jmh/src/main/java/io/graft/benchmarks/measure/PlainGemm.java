package io.graft.benchmarks.measure;

import io.graft.tensor.DType;
import io.graft.tensor.Tensor;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.Name;
import org.bytedeco.javacpp.annotation.Platform;

/** Binding of {@code src/main/native/plain_gemm.h}: a product of whole matrices by oneDNN, and a copy by threads. */
@Platform(
        include = {"graft/graft.h", "native_loop.h", "plain_gemm.h"},
        link = {"graft", "dnnl@.3"},
        preload = {"gomp@.1", "dnnl@.3"},
        preloadresource = "/org/bytedeco/dnnl/",
        library = "jnigraftbenchmarks")
@Name("graft_plain_gemm")
public final class PlainGemm extends Pointer {
    static {
        Loader.load();
    }

    private PlainGemm(Tensor x, Tensor w, boolean transposed, Tensor y, long k, long n) {
        allocate(
                x.dtype() == DType.BF16,
                x.size(0),
                k,
                n,
                Address.of(x),
                x.stride(0),
                Address.of(w),
                w.stride(0),
                transposed,
                Address.of(y),
                y.stride(0));
    }

    /** y [T, n] = x [T, k] wᵀ with w [n, k], all f32 or all bf16. */
    public static PlainGemm forward(Tensor x, Tensor w, Tensor y) {
        return new PlainGemm(x, w, true, y, w.size(1), w.size(0));
    }

    /** dx [T, k] = dy [T, n] w with w [n, k]. */
    public static PlainGemm backward(Tensor dy, Tensor w, Tensor dx) {
        return new PlainGemm(dy, w, false, dx, w.size(0), w.size(1));
    }

    private native void allocate(
            @Cast("bool") boolean bf16,
            @Cast("int64_t") long rows,
            @Cast("int64_t") long k,
            @Cast("int64_t") long n,
            Pointer x,
            @Cast("int64_t") long xPitch,
            Pointer w,
            @Cast("int64_t") long wPitch,
            @Cast("bool") boolean transposed,
            Pointer y,
            @Cast("int64_t") long yPitch);

    /** Computes. The tensors must still be open. */
    public native void run();

    /** Threads of oneDNN from now on. */
    public static native void threads(int threads);

    /** Copies so many bytes, each thread its part. */
    private static native void copy(
            @Cast("const void*") Pointer from, Pointer to, @Cast("int64_t") long bytes, int threads);

    /** Copies one contiguous tensor to another of its size. */
    public static void copy(Tensor from, Tensor to, int threads) {
        copy(Address.of(from), Address.of(to), from.elements() * from.dtype().bytes(), threads);
    }
}
