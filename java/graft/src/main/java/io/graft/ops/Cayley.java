package io.graft.ops;

import static io.graft.binding.Native.graft_cayley_backward;
import static io.graft.binding.Native.graft_cayley_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** Rotations from the entries of skew-symmetric matrices by Cayley's transform, or the start of its series (OFT). */
public final class Cayley {
    private Cayley() {}

    /** r [D, n, n] = R - I from q [D, n·(n-1)/2]; exact with terms 0, else that many terms of the series. */
    public static void forward(Context context, Tensor q, int terms, Tensor r) {
        synchronized (context) {
            Status.check(graft_cayley_forward(
                    context.pointer(), Tensor.pointer(context, q), terms, Tensor.pointer(context, r)));
        }
    }

    /** dq in f32 is added to. */
    public static void backward(Context context, Tensor dr, Tensor q, int terms, Tensor dq) {
        synchronized (context) {
            Status.check(graft_cayley_backward(
                    context.pointer(),
                    Tensor.pointer(context, dr),
                    Tensor.pointer(context, q),
                    terms,
                    Tensor.pointer(context, dq)));
        }
    }
}
