package io.graft.ops;

import static io.graft.binding.Native.graft_layer_norm_backward;
import static io.graft.binding.Native.graft_layer_norm_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** Layer norm: {@code y = (x − mean(x)) / sqrt(var(x) + eps) · w + b}, row by row (arXiv 1607.06450). */
public final class LayerNorm {
    private LayerNorm() {}

    /**
     * x, y [T, H], which may be the same memory; w, b [H], b may be null; stats [T, 2] f32: mean and 1 / sqrt(var + eps),
     * kept for backward, may be null.
     */
    public static void forward(Context context, Tensor x, Tensor w, Tensor b, double eps, Tensor y, Tensor stats) {
        synchronized (context) {
            Status.check(graft_layer_norm_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, w),
                    Tensor.pointer(context, b),
                    eps,
                    Tensor.pointer(context, y),
                    Tensor.pointer(context, stats)));
        }
    }

    /** dx [T, H] is overwritten, or added to with accumulate; dw, db [H] f32 are added to; each null when not wanted. */
    public static void backward(
            Context context,
            Tensor dy,
            Tensor x,
            Tensor w,
            Tensor stats,
            boolean accumulate,
            Tensor dx,
            Tensor dw,
            Tensor db) {
        synchronized (context) {
            Status.check(graft_layer_norm_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, w),
                    Tensor.pointer(context, stats),
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, dw),
                    Tensor.pointer(context, db)));
        }
    }
}
