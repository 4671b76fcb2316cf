package io.graft.ops;

import static io.graft.binding.Native.graft_linear_backward;
import static io.graft.binding.Native.graft_linear_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** Linear layer: {@code y = x Wᵀ + bias}. */
public final class Linear {
    private Linear() {}

    /** x [T, K], W [N, K], bias [N] or null; y [T, N] is overwritten, or added to with accumulate. */
    public static void forward(Context context, Tensor x, Weight w, Tensor bias, boolean accumulate, Tensor y) {
        synchronized (context) {
            Status.check(graft_linear_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, bias),
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, y)));
        }
    }

    /**
     * dx [T, K] is overwritten, or added to with accumulate; dw [N, K] and dbias [N] f32 are added to. Each may be
     * null, and x when dw is.
     */
    public static void backward(
            Context context, Tensor dy, Tensor x, Weight w, boolean accumulate, Tensor dx, Tensor dw, Tensor dbias) {
        synchronized (context) {
            Status.check(graft_linear_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Weight.pointer(context, w),
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, dw),
                    Tensor.pointer(context, dbias)));
        }
    }
}
