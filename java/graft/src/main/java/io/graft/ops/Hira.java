package io.graft.ops;

import static io.graft.binding.Native.graft_hira_backward;
import static io.graft.binding.Native.graft_hira_forward;
import static io.graft.binding.Native.graft_hira_merge;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** A layer whose weight is multiplied element by element, {@code W' = W ⊙ (1 + b a)}, with a [r, K] and b [N, r]. */
public final class Hira {
    private Hira() {}

    /** y [T, N] = x [T, K] W'ᵀ, or added to with accumulate; W in any form. */
    public static void forward(Context context, Tensor x, Weight w, Tensor a, Tensor b, boolean accumulate, Tensor y) {
        synchronized (context) {
            Status.check(graft_hira_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, y)));
        }
    }

    /**
     * dx is overwritten, or added to with accumulate; da [r, K] and db [N, r] f32 are added to. Each may be null, and x
     * where the last two are.
     */
    public static void backward(
            Context context,
            Tensor dy,
            Tensor x,
            Weight w,
            Tensor a,
            Tensor b,
            boolean accumulate,
            Tensor dx,
            Tensor da,
            Tensor db) {
        synchronized (context) {
            Status.check(graft_hira_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, da),
                    Tensor.pointer(context, db)));
        }
    }

    /** merged [N, K] = W'; it may be the memory of W itself. */
    public static void merge(Context context, Weight w, Tensor a, Tensor b, Tensor merged) {
        synchronized (context) {
            Status.check(graft_hira_merge(
                    context.pointer(),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    Tensor.pointer(context, merged)));
        }
    }
}
