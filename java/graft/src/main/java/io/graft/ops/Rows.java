package io.graft.ops;

import static io.graft.binding.Native.graft_rows_gradient;
import static io.graft.binding.Native.graft_rows_read;
import static io.graft.binding.Native.graft_rows_write;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Whole rows of W, chosen by indices, are trained in place (S2FT, arXiv 2412.06289), beside which the layer is {@link
 * Linear}. indices [r] are i32 or i64, each in 0..N-1.
 */
public final class Rows {
    private Rows() {}

    /** dd [r, K] f32 += dy[:, indices]ᵀ x; the other rows are not calculated. dy [T, N], x [T, K]. */
    public static void gradient(Context context, Tensor dy, Tensor x, Tensor indices, Tensor dd) {
        synchronized (context) {
            Status.check(graft_rows_gradient(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, indices),
                    Tensor.pointer(context, dd)));
        }
    }

    /** rows [r, K] of w's dtype = W[indices, :]. */
    public static void read(Context context, Weight w, Tensor indices, Tensor rows) {
        synchronized (context) {
            Status.check(graft_rows_read(
                    context.pointer(),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, indices),
                    Tensor.pointer(context, rows)));
        }
    }

    /** W[indices, :] = original + d, or exactly the original where d is null. Indices may not repeat. */
    public static void write(Context context, Tensor d, Tensor original, Tensor indices, Weight w) {
        synchronized (context) {
            Status.check(graft_rows_write(
                    context.pointer(),
                    Tensor.pointer(context, d),
                    Tensor.pointer(context, original),
                    Tensor.pointer(context, indices),
                    Weight.pointer(context, w)));
        }
    }
}
