package io.graft.ops;

import static io.graft.binding.Native.graft_group_sum_backward;
import static io.graft.binding.Native.graft_group_sum_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** Sums of groups of g neighbouring columns: {@code y[t, j] = scale · Σ x[t, j·g + i]} (QA-LoRA, arXiv 2309.14717). */
public final class GroupSum {
    private GroupSum() {}

    /** x [T, G·g], y [T, G]. */
    public static void forward(Context context, Tensor x, double scale, Tensor y) {
        synchronized (context) {
            Status.check(graft_group_sum_forward(
                    context.pointer(), Tensor.pointer(context, x), scale, Tensor.pointer(context, y)));
        }
    }

    /** dx [T, G·g] = scale · dy [T, G] in each column of a group; overwritten, or added to with accumulate. */
    public static void backward(Context context, Tensor dy, double scale, boolean accumulate, Tensor dx) {
        synchronized (context) {
            Status.check(graft_group_sum_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    scale,
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx)));
        }
    }
}
