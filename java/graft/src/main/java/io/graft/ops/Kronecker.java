package io.graft.ops;

import static io.graft.binding.Native.graft_kronecker_backward;
import static io.graft.binding.Native.graft_kronecker_forward;
import static io.graft.binding.Native.graft_kronecker_merge;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A sum of Kronecker products beside a linear layer, {@code D = scale · Σ w1[m] ⊗ (b[m] a[m])} (LoKr, arXiv 2309.14859),
 * with w1 [M, P, Q], b [M, N/P, r] and a [M, r, K/Q]; without a, b is the whole second factor [M, N/P, K/Q]. D [N, K] is
 * never made.
 */
public final class Kronecker {
    private Kronecker() {}

    /** y [T, N] = x [T, K] Dᵀ, or added to with accumulate. */
    public static void forward(
            Context context, Tensor x, Tensor w1, Tensor b, Tensor a, double scale, boolean accumulate, Tensor y) {
        synchronized (context) {
            Status.check(graft_kronecker_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, w1),
                    Tensor.pointer(context, b),
                    Tensor.pointer(context, a),
                    scale,
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, y)));
        }
    }

    /**
     * dx [T, K] = dy D is overwritten, or added to with accumulate; dw1, db and da in f32 are added to. Each may be null,
     * and x where none of the last three is wanted.
     */
    public static void backward(
            Context context,
            Tensor dy,
            Tensor x,
            Tensor w1,
            Tensor b,
            Tensor a,
            double scale,
            boolean accumulate,
            Tensor dx,
            Tensor dw1,
            Tensor db,
            Tensor da) {
        synchronized (context) {
            Status.check(graft_kronecker_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, w1),
                    Tensor.pointer(context, b),
                    Tensor.pointer(context, a),
                    scale,
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, dw1),
                    Tensor.pointer(context, db),
                    Tensor.pointer(context, da)));
        }
    }

    /** merged [N, K] = W + D; it may be the memory of W itself. */
    public static void merge(Context context, Weight w, Tensor w1, Tensor b, Tensor a, double scale, Tensor merged) {
        synchronized (context) {
            Status.check(graft_kronecker_merge(
                    context.pointer(),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, w1),
                    Tensor.pointer(context, b),
                    Tensor.pointer(context, a),
                    scale,
                    Tensor.pointer(context, merged)));
        }
    }
}
