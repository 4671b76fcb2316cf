package io.graft.benchmarks.measure;

import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.Name;
import org.bytedeco.javacpp.annotation.Platform;

/** Binding of {@code src/main/native/plain_cublaslt.h}: a product of whole matrices by cuBLASLt in CUDA's default stream. */
@Platform(
        include = {"graft/graft.h", "plain_cublaslt.h"},
        link = "graft",
        library = "jnigraftbenchmarks")
@Name("graft_plain_cublaslt")
public final class PlainCublasLt extends Pointer {
    /** Of a product's workspace: what the library's authors recommend for Hopper. */
    private static final long WORKSPACE_BYTES = 32 << 20;

    static {
        Loader.load();
    }

    private PlainCublasLt(Inputs inputs, Tensor x, Tensor w, boolean transposed, Tensor y, long k, long n) {
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
                y.stride(0),
                Address.of(inputs.scope().tensor(Memory.WORKSPACE, DType.U8, WORKSPACE_BYTES)),
                WORKSPACE_BYTES);
    }

    /** y [T, n] = x [T, k] wᵀ with w [n, k], all f32 or all bf16 tensors of these inputs. */
    static PlainCublasLt forward(Inputs inputs, Tensor x, Tensor w, Tensor y) {
        return new PlainCublasLt(inputs, x, w, true, y, w.size(1), w.size(0));
    }

    /** dx [T, k] = dy [T, n] w with w [n, k]. */
    static PlainCublasLt backward(Inputs inputs, Tensor dy, Tensor w, Tensor dx) {
        return new PlainCublasLt(inputs, dy, w, false, dx, w.size(0), w.size(1));
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
            @Cast("int64_t") long yPitch,
            Pointer workspace,
            @Cast("int64_t") long workspaceBytes);

    /** Computes. The tensors must still be open. */
    public native void run();

    @Name("absence")
    @Cast("const char*")
    private static native BytePointer reason();

    /** Why there is no cuBLASLt; null where there is. */
    static String absence() {
        String reason = reason().getString();
        return reason.isEmpty() ? null : "cuBLASLt is not present: " + reason;
    }
}
