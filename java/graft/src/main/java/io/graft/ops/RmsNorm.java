package io.graft.ops;

import static io.graft.binding.Native.graft_rms_norm_backward;
import static io.graft.binding.Native.graft_rms_norm_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** Root mean square norm: {@code y = x / sqrt(mean(x²) + eps) · w}, row by row (arXiv 1910.07467). */
public final class RmsNorm {
    private RmsNorm() {}

    /** x, y [T, H], which may be the same memory; w [H]; rstd [T] f32, kept for backward, may be null. */
    public static void forward(Context context, Tensor x, Tensor w, double eps, Tensor y, Tensor rstd) {
        synchronized (context) {
            Status.check(graft_rms_norm_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, w),
                    eps,
                    Tensor.pointer(context, y),
                    Tensor.pointer(context, rstd)));
        }
    }

    /**
     * dx [T, H] is overwritten, or added to with accumulate, null when not wanted; dw [H] f32 is added to, null when w
     * is frozen.
     */
    public static void backward(
            Context context, Tensor dy, Tensor x, Tensor w, Tensor rstd, boolean accumulate, Tensor dx, Tensor dw) {
        synchronized (context) {
            Status.check(graft_rms_norm_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, w),
                    Tensor.pointer(context, rstd),
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, dw)));
        }
    }
}
