package io.graft.ops;

import static io.graft.binding.Native.graft_ia3_backward;
import static io.graft.binding.Native.graft_ia3_forward;
import static io.graft.binding.Native.graft_ia3_merge;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** A frozen layer between trained scales (arXiv 2205.05638): {@code y = ((x ⊙ lIn) Wᵀ + bias) ⊙ lOut}. */
public final class Ia3 {
    private Ia3() {}

    /** lIn [K], lOut [N] and bias [N] may be null. z [T, N], the output before lOut, is kept for lOut's gradient. */
    public static void forward(
            Context context,
            Tensor x,
            Weight w,
            Tensor lIn,
            Tensor lOut,
            Tensor bias,
            boolean accumulate,
            Tensor y,
            Tensor z) {
        synchronized (context) {
            Status.check(graft_ia3_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, lIn),
                    Tensor.pointer(context, lOut),
                    Tensor.pointer(context, bias),
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, y),
                    Tensor.pointer(context, z)));
        }
    }

    /**
     * dx [T, K] is overwritten, or added to with accumulate; dlIn [K], dlOut [N] and dbias [N] in f32 are added to. Each
     * may be null, x when dlIn is, z when dlOut is.
     */
    public static void backward(
            Context context,
            Tensor dy,
            Tensor x,
            Tensor z,
            Weight w,
            Tensor lIn,
            Tensor lOut,
            boolean accumulate,
            Tensor dx,
            Tensor dlIn,
            Tensor dlOut,
            Tensor dbias) {
        synchronized (context) {
            Status.check(graft_ia3_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, z),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, lIn),
                    Tensor.pointer(context, lOut),
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, dlIn),
                    Tensor.pointer(context, dlOut),
                    Tensor.pointer(context, dbias)));
        }
    }

    /** merged [N, K] = diag(lOut) W diag(lIn), of w's dtype; may be w's own matrix. */
    public static void merge(Context context, Weight w, Tensor lIn, Tensor lOut, Tensor merged) {
        synchronized (context) {
            Status.check(graft_ia3_merge(
                    context.pointer(),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, lIn),
                    Tensor.pointer(context, lOut),
                    Tensor.pointer(context, merged)));
        }
    }
}
