package io.graft.ops;

import static io.graft.binding.Native.graft_linear_cross_entropy_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Linear head and cross-entropy in one pass over row blocks: the logits never exist whole (cf. arXiv 2410.10989,
 * section 3.2).
 */
public final class LinearCrossEntropy {
    private LinearCrossEntropy() {}

    /**
     * loss [1] is overwritten; count [1] i64 may be null. Where dh [T, K] (overwritten) or dw [V, K] f32 (added to) is
     * given, the gradients of loss · gradientScale are made in the same pass. normalizer 0 takes the number of rows
     * that count; softcap 0 caps no logits.
     */
    public static void forward(
            Context context,
            Tensor h,
            Weight w,
            Tensor labels,
            long ignoreIndex,
            double softcap,
            double normalizer,
            double gradientScale,
            Tensor loss,
            Tensor count,
            Tensor dh,
            Tensor dw) {
        synchronized (context) {
            Status.check(graft_linear_cross_entropy_forward(
                    context.pointer(),
                    Tensor.pointer(context, h),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, labels),
                    ignoreIndex,
                    softcap,
                    normalizer,
                    gradientScale,
                    Tensor.pointer(context, loss),
                    Tensor.pointer(context, count),
                    Tensor.pointer(context, dh),
                    Tensor.pointer(context, dw)));
        }
    }
}
