package io.graft.ops;

import static io.graft.binding.Native.graft_swiglu_backward;
import static io.graft.binding.Native.graft_swiglu_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** Gated linear units (arXiv 2002.05202): {@code y = f(gate) · up}. */
public final class SwiGlu {
    /** Which f, in the order of {@code graft_glu_kind}. */
    public enum Kind {
        /** SwiGLU: {@code x · sigmoid(x)}. */
        SILU,
        /** GEGLU: {@link Gelu} in its tanh form. */
        GELU_TANH
    }

    private SwiGlu() {}

    /** gate, up, y [T, F]; y may be gate or up. */
    public static void forward(Context context, Kind kind, Tensor gate, Tensor up, Tensor y) {
        synchronized (context) {
            Status.check(graft_swiglu_forward(
                    context.pointer(),
                    kind.ordinal(),
                    Tensor.pointer(context, gate),
                    Tensor.pointer(context, up),
                    Tensor.pointer(context, y)));
        }
    }

    /** dgate, dup [T, F] are overwritten and may be gate and up themselves; either may be null. */
    public static void backward(
            Context context, Kind kind, Tensor dy, Tensor gate, Tensor up, Tensor dgate, Tensor dup) {
        synchronized (context) {
            Status.check(graft_swiglu_backward(
                    context.pointer(),
                    kind.ordinal(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, gate),
                    Tensor.pointer(context, up),
                    Tensor.pointer(context, dgate),
                    Tensor.pointer(context, dup)));
        }
    }
}
