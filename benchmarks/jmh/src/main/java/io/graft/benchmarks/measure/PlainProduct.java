package io.graft.benchmarks.measure;

import io.graft.tensor.DType;
import io.graft.tensor.Device;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.Name;
import org.bytedeco.javacpp.annotation.Platform;

/**
 * A product of whole matrices by the library that others would call on a device, without Graft: oneDNN on the CPU, cuBLASLt in
 * CUDA's default stream on a GPU. Binding of {@code src/main/native/plain_product.h}.
 */
@Platform(
        include = {"graft/graft.h", "native_loop.h", "plain_product.h"},
        link = {"graft", "dnnl@.3"},
        preload = {"gomp@.1", "dnnl@.3"},
        preloadresource = "/org/bytedeco/dnnl/",
        library = "jnigraftbenchmarks")
@Name("graft_plain_product")
public final class PlainProduct extends Pointer {
    /** Of cuBLASLt: what the library's authors recommend for Hopper. */
    private static final long WORKSPACE_BYTES = 32 << 20;

    static {
        Loader.load();
    }

    private PlainProduct(Inputs inputs, Tensor x, Tensor w, boolean transposed, Tensor y) {
        Device device = inputs.context().device();
        long workspace = device.isCpu() ? 0 : WORKSPACE_BYTES;
        allocate(
                !device.isCpu(),
                x.dtype() == DType.BF16,
                x.size(0),
                w.size(transposed ? 1 : 0),
                w.size(transposed ? 0 : 1),
                Address.of(x),
                x.stride(0),
                Address.of(w),
                w.stride(0),
                transposed,
                Address.of(y),
                y.stride(0),
                workspace == 0 ? null : Address.of(inputs.scope().tensor(Memory.WORKSPACE, DType.U8, workspace)),
                workspace);
        if (device.isCpu()) {
            threads(inputs.context().threads());
        }
    }

    /** What the contender is called. */
    public static String library(Device device) {
        return device.isCpu() ? "onednn" : "cublaslt";
    }

    /** Why it is not there; null where it is. */
    static String absence(Device device) {
        String reason = device.isCpu() ? "" : reason().getString();
        return reason.isEmpty() ? null : "cuBLASLt is not present: " + reason;
    }

    /** y [T, n] = x [T, k] wᵀ with w [n, k], all f32 or all bf16 tensors of these inputs. */
    public static PlainProduct forward(Inputs inputs, Tensor x, Tensor w, Tensor y) {
        return new PlainProduct(inputs, x, w, true, y);
    }

    /** dx [T, k] = dy [T, n] w with w [n, k]. */
    public static PlainProduct backward(Inputs inputs, Tensor dy, Tensor w, Tensor dx) {
        return new PlainProduct(inputs, dy, w, false, dx);
    }

    private native void allocate(
            @Cast("bool") boolean onGpu,
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

    /** Threads of oneDNN from now on. */
    private static native void threads(int threads);

    @Name("absence")
    @Cast("const char*")
    private static native BytePointer reason();
}
