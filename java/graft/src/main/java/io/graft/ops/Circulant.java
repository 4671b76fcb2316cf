package io.graft.ops;

import static io.graft.binding.Native.graft_circulant_backward;
import static io.graft.binding.Native.graft_circulant_forward;
import static io.graft.binding.Native.graft_circulant_merge;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** Products with a matrix of circulant blocks, {@code D[m·B + i, n·B + j] = scale · w[m, n, (j - i) mod B]} (C3A, arXiv 2407.19342), which is never made. */
public final class Circulant {
    private Circulant() {}

    /** y [T, M·B] = x [T, n·B] Dᵀ, or added to with accumulate; w [M, n, B]. */
    public static void forward(Context context, Tensor x, Tensor w, double scale, boolean accumulate, Tensor y) {
        synchronized (context) {
            Status.check(graft_circulant_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, w),
                    scale,
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, y)));
        }
    }

    /** dx is overwritten, or added to with accumulate; dw in f32 is added to. Each may be null, x where dw is. */
    public static void backward(
            Context context, Tensor dy, Tensor x, Tensor w, double scale, boolean accumulate, Tensor dx, Tensor dw) {
        synchronized (context) {
            Status.check(graft_circulant_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, w),
                    scale,
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, dw)));
        }
    }

    /** merged [N, K] = W + D; it may be the memory of W itself. */
    public static void merge(Context context, Weight weight, Tensor w, double scale, Tensor merged) {
        synchronized (context) {
            Status.check(graft_circulant_merge(
                    context.pointer(),
                    Weight.pointer(context, weight),
                    Tensor.pointer(context, w),
                    scale,
                    Tensor.pointer(context, merged)));
        }
    }
}
