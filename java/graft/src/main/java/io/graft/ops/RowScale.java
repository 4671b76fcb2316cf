package io.graft.ops;

import static io.graft.binding.Native.graft_row_scale_backward;
import static io.graft.binding.Native.graft_row_scale_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** {@code y = diag(s) x}: a factor for each row, such as VeRA's vectors for its shared matrices (arXiv 2310.11454). */
public final class RowScale {
    private RowScale() {}

    /** x, y [R, C], s [R]; y may be x. */
    public static void forward(Context context, Tensor x, Tensor s, Tensor y) {
        synchronized (context) {
            Status.check(graft_row_scale_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, s),
                    Tensor.pointer(context, y)));
        }
    }

    /** dx [R, C] += diag(s) dy and ds [R] += row sums of dy ⊙ x, in f32; each may be null. */
    public static void backward(Context context, Tensor dy, Tensor x, Tensor s, Tensor dx, Tensor ds) {
        synchronized (context) {
            Status.check(graft_row_scale_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, s),
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, ds)));
        }
    }
}
