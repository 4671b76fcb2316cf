package io.graft.ops;

import static io.graft.binding.Native.graft_sparse_add_squares;
import static io.graft.binding.Native.graft_sparse_gradient;
import static io.graft.binding.Native.graft_sparse_read;
import static io.graft.binding.Native.graft_sparse_select;
import static io.graft.binding.Native.graft_sparse_write;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Sparse fine-tuning (SHiRA, arXiv 2406.13175; FishMask, arXiv 2111.09839): chosen entries of W are trained in place,
 * beside which the layer is {@link Linear}.
 *
 * <p>indices [2, nnz] i32 or i64 are rows above columns, strictly ascending by row and then column.
 */
public final class Sparse {
    /** What entries are chosen by, in the order of {@code graft_sparse_score}. */
    public enum Score {
        /** |a| */
        ABSOLUTE,
        /** |a · b| */
        PRODUCT,
        /** |a − b| */
        DIFFERENCE
    }

    private Sparse() {}

    /** dd [nnz] f32 += the chosen entries of dyᵀ x; the others are not calculated. dy [T, N], x [T, K]. */
    public static void gradient(Context context, Tensor dy, Tensor x, Tensor indices, Tensor dd) {
        synchronized (context) {
            Status.check(graft_sparse_gradient(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, indices),
                    Tensor.pointer(context, dd)));
        }
    }

    /** entries [nnz] of w's dtype = the chosen entries of W. */
    public static void read(Context context, Weight w, Tensor indices, Tensor entries) {
        synchronized (context) {
            Status.check(graft_sparse_read(
                    context.pointer(),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, indices),
                    Tensor.pointer(context, entries)));
        }
    }

    /** The chosen entries of W = original + d, or exactly the original where d is null. */
    public static void write(Context context, Tensor d, Tensor original, Tensor indices, Weight w) {
        synchronized (context) {
            Status.check(graft_sparse_write(
                    context.pointer(),
                    Tensor.pointer(context, d),
                    Tensor.pointer(context, original),
                    Tensor.pointer(context, indices),
                    Weight.pointer(context, w)));
        }
    }

    /** sums [N, K] += g ∘ g, both f32. */
    public static void addSquares(Context context, Tensor g, Tensor sums) {
        synchronized (context) {
            Status.check(graft_sparse_add_squares(
                    context.pointer(), Tensor.pointer(context, g), Tensor.pointer(context, sums)));
        }
    }

    /**
     * indices = the entries [nnz] with the largest score, or the smallest; of equal ones the first. a, b [N, K] float; b is
     * null with {@link Score#ABSOLUTE}.
     */
    public static void select(Context context, Score score, Tensor a, Tensor b, boolean largest, Tensor indices) {
        synchronized (context) {
            Status.check(graft_sparse_select(
                    context.pointer(),
                    score.ordinal(),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    largest ? 1 : 0,
                    Tensor.pointer(context, indices)));
        }
    }
}
