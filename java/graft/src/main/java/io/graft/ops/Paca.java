package io.graft.ops;

import static io.graft.binding.Native.graft_paca_backward;
import static io.graft.binding.Native.graft_paca_column_norms;
import static io.graft.binding.Native.graft_paca_forward;
import static io.graft.binding.Native.graft_paca_read;
import static io.graft.binding.Native.graft_paca_slab_backward;
import static io.graft.binding.Native.graft_paca_slab_forward;
import static io.graft.binding.Native.graft_paca_write;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** Partial connection adaptation (arXiv 2503.01905): r columns of W, chosen by indices, are trained in place. */
public final class Paca {
    private Paca() {}

    /**
     * y = x Wᵀ + bias, and xI = x[:, indices] [T, r], kept for backward; null in inference. indices [r] are i32 or i64,
     * each in 0..K-1.
     */
    public static void forward(
            Context context, Tensor x, Weight w, Tensor indices, Tensor bias, boolean accumulate, Tensor y, Tensor xI) {
        synchronized (context) {
            Status.check(graft_paca_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, indices),
                    Tensor.pointer(context, bias),
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, y),
                    Tensor.pointer(context, xI)));
        }
    }

    /**
     * dx [T, K] = dy W is overwritten, or added to with accumulate; dd [N, r] f32 += scale · dyᵀ xI and dbias [N] f32 are
     * added to. Each may be null, xI when dd is.
     */
    public static void backward(
            Context context,
            Tensor dy,
            Tensor xI,
            Weight w,
            double scale,
            boolean accumulate,
            Tensor dx,
            Tensor dd,
            Tensor dbias) {
        synchronized (context) {
            Status.check(graft_paca_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, xI),
                    Weight.pointer(context, w),
                    scale,
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, dd),
                    Tensor.pointer(context, dbias)));
        }
    }

    /**
     * The layer with its trained part beside W of any kind, which stays as it is (QPaCA): y = x Wᵀ + scale · xI dᵀ + bias;
     * d [N, r] float, the others as in {@link #forward}.
     */
    public static void slabForward(
            Context context,
            Tensor x,
            Weight w,
            Tensor indices,
            Tensor d,
            double scale,
            Tensor bias,
            boolean accumulate,
            Tensor y,
            Tensor xI) {
        synchronized (context) {
            Status.check(graft_paca_slab_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, indices),
                    Tensor.pointer(context, d),
                    scale,
                    Tensor.pointer(context, bias),
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, y),
                    Tensor.pointer(context, xI)));
        }
    }

    /** dx [T, K] = dy W with scale · dy d added to its columns at indices; the others as in {@link #backward}. */
    public static void slabBackward(
            Context context,
            Tensor dy,
            Tensor xI,
            Weight w,
            Tensor indices,
            Tensor d,
            double scale,
            boolean accumulate,
            Tensor dx,
            Tensor dd,
            Tensor dbias) {
        synchronized (context) {
            Status.check(graft_paca_slab_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, xI),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, indices),
                    Tensor.pointer(context, d),
                    scale,
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, dd),
                    Tensor.pointer(context, dbias)));
        }
    }

    /** columns [N, r] of w's dtype = W[:, indices]. */
    public static void read(Context context, Weight w, Tensor indices, Tensor columns) {
        synchronized (context) {
            Status.check(graft_paca_read(
                    context.pointer(),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, indices),
                    Tensor.pointer(context, columns)));
        }
    }

    /** W[:, indices] = original + scale · d, or exactly the original where d is null. Indices may not repeat. */
    public static void write(Context context, Tensor d, Tensor original, Tensor indices, double scale, Weight w) {
        synchronized (context) {
            Status.check(graft_paca_write(
                    context.pointer(),
                    Tensor.pointer(context, d),
                    Tensor.pointer(context, original),
                    Tensor.pointer(context, indices),
                    scale,
                    Weight.pointer(context, w)));
        }
    }

    /** norms [K] f32 = the 2-norm of each column of W. */
    public static void columnNorms(Context context, Weight w, Tensor norms) {
        synchronized (context) {
            Status.check(graft_paca_column_norms(
                    context.pointer(), Weight.pointer(context, w), Tensor.pointer(context, norms)));
        }
    }
}
