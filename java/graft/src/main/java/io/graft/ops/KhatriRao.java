package io.graft.ops;

import static io.graft.binding.Native.graft_khatri_rao_backward;
import static io.graft.binding.Native.graft_khatri_rao_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/**
 * All products of a row of u and a row of v, or of a column and a column, element by element: what makes the Hadamard
 * product of two low-rank matrices one low-rank product (LoHa, arXiv 2108.06098).
 */
public final class KhatriRao {
    private KhatriRao() {}

    /** Of rows, u [P, C] and v [Q, C], y [P·Q, C]; with columns, u [C, P] and v [C, Q], y [C, P·Q]. */
    public static void forward(Context context, Tensor u, Tensor v, boolean columns, Tensor y) {
        synchronized (context) {
            Status.check(graft_khatri_rao_forward(
                    context.pointer(),
                    Tensor.pointer(context, u),
                    Tensor.pointer(context, v),
                    columns ? 1 : 0,
                    Tensor.pointer(context, y)));
        }
    }

    /** du and dv in f32 are added to; each may be null. */
    public static void backward(Context context, Tensor dy, Tensor u, Tensor v, boolean columns, Tensor du, Tensor dv) {
        synchronized (context) {
            Status.check(graft_khatri_rao_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, u),
                    Tensor.pointer(context, v),
                    columns ? 1 : 0,
                    Tensor.pointer(context, du),
                    Tensor.pointer(context, dv)));
        }
    }
}
