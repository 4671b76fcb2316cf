package io.graft.ops;

import static io.graft.binding.Native.graft_dora_backward;
import static io.graft.binding.Native.graft_dora_forward;
import static io.graft.binding.Native.graft_dora_merge;
import static io.graft.binding.Native.graft_dora_norms;
import static io.graft.binding.Native.graft_dora_squared_norms;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Weight-decomposed low-rank adaptation: {@code y = m/norm ⊙ (x Wᵀ + scale · drop(x) Aᵀ Bᵀ) + bias}, where norm is the
 * length of each row of W + scale · B A (arXiv 2402.09353, section 4).
 */
public final class Dora {
    private Dora() {}

    /** squared [N] f32 = the squared 2-norm of each row of W: once per base weight. */
    public static void squaredNorms(Context context, Weight w, Tensor squared) {
        synchronized (context) {
            Status.check(graft_dora_squared_norms(
                    context.pointer(), Weight.pointer(context, w), Tensor.pointer(context, squared)));
        }
    }

    /** norm [N] f32 = the 2-norm of each row of W + scale · b a. Call after every change of a [r, K] or b [N, r]. */
    public static void norms(Context context, Weight w, Tensor squared, Tensor a, Tensor b, double scale, Tensor norm) {
        synchronized (context) {
            Status.check(graft_dora_norms(
                    context.pointer(),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, squared),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    scale,
                    Tensor.pointer(context, norm)));
        }
    }

    /**
     * m [N], norm [N] as {@link #norms} made it, bias [N] or null; kept [T, N + r] for backward, null in inference.
     * Border, scratch columns and dropout as in {@link LoraLinear#forward}.
     */
    public static void forward(
            Context context,
            Tensor x,
            Weight w,
            Tensor a,
            Tensor b,
            double scale,
            Tensor m,
            Tensor norm,
            Tensor bias,
            double dropout,
            long seed,
            long offset,
            boolean accumulate,
            Tensor y,
            Tensor kept) {
        synchronized (context) {
            Status.check(graft_dora_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    scale,
                    Tensor.pointer(context, m),
                    Tensor.pointer(context, norm),
                    Tensor.pointer(context, bias),
                    dropout,
                    seed,
                    offset,
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, y),
                    Tensor.pointer(context, kept)));
        }
    }

    /**
     * dx [T, K] is overwritten, or added to with accumulate; da [r, K], db [N, r], dm [N] and dbias [N] f32 are added
     * to. Each may be null, x when da is, kept when db and dm are.
     */
    public static void backward(
            Context context,
            Tensor dy,
            Tensor x,
            Tensor kept,
            Weight w,
            Tensor a,
            Tensor b,
            double scale,
            Tensor m,
            Tensor norm,
            double dropout,
            long seed,
            long offset,
            boolean accumulate,
            Tensor dx,
            Tensor da,
            Tensor db,
            Tensor dm,
            Tensor dbias) {
        synchronized (context) {
            Status.check(graft_dora_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, kept),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    scale,
                    Tensor.pointer(context, m),
                    Tensor.pointer(context, norm),
                    dropout,
                    seed,
                    offset,
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, da),
                    Tensor.pointer(context, db),
                    Tensor.pointer(context, dm),
                    Tensor.pointer(context, dbias)));
        }
    }

    /** merged [N, K] = m/norm ⊙ (W + scale · B A), row by row; it may be the memory of W itself. */
    public static void merge(
            Context context, Weight w, Tensor a, Tensor b, double scale, Tensor m, Tensor norm, Tensor merged) {
        synchronized (context) {
            Status.check(graft_dora_merge(
                    context.pointer(),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    scale,
                    Tensor.pointer(context, m),
                    Tensor.pointer(context, norm),
                    Tensor.pointer(context, merged)));
        }
    }
}
