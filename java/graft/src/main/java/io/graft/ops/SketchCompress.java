package io.graft.ops;

import static io.graft.binding.Native.graft_sketch_compress_factor;
import static io.graft.binding.Native.graft_sketch_compress_matrix;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Sketches out of matrices (arXiv 2410.06364, 2407.10032): tables by exact clusters, codes in a sequence in which later
 * columns make up for the errors of earlier ones.
 */
public final class SketchCompress {
    private SketchCompress() {}

    /**
     * What all layers with the same inputs share: the sequence of columns and the upper triangle r with r rᵀ = H.
     *
     * @param h xᵀ x [K, K] of calibration tokens, or a multiple of it
     * @param damping added to H's diagonal, in units of its mean
     * @param byDiagonal columns by falling diagonal instead of their own order
     * @param order [K] I32, written
     * @param r [K, K], written
     */
    public static void factor(Context context, Tensor h, double damping, boolean byDiagonal, Tensor order, Tensor r) {
        synchronized (context) {
            Status.check(graft_sketch_compress_factor(
                    context.pointer(),
                    Tensor.pointer(context, h),
                    damping,
                    byDiagonal ? 1 : 0,
                    Tensor.pointer(context, order),
                    Tensor.pointer(context, r)));
        }
    }

    /**
     * Fills the codes of a sketch and its table from a matrix [N, K].
     *
     * @param order with r as {@link #factor} wrote them; both null: no calibration, each weight gets its nearest entry
     * @param exponent of the weights of columns in the clusters
     * @param loss [N] F32: the error that is left of each row; may be null
     */
    public static void matrix(
            Context context, Tensor matrix, Tensor order, Tensor r, double exponent, Weight w, Tensor loss) {
        synchronized (context) {
            Status.check(graft_sketch_compress_matrix(
                    context.pointer(),
                    Tensor.pointer(context, matrix),
                    Tensor.pointer(context, order),
                    Tensor.pointer(context, r),
                    exponent,
                    Weight.pointer(context, w),
                    Tensor.pointer(context, loss)));
        }
    }
}
