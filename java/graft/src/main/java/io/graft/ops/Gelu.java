package io.graft.ops;

import static io.graft.binding.Native.graft_gelu_backward;
import static io.graft.binding.Native.graft_gelu_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** GELU (arXiv 1606.08415): {@code y = x Φ(x)}, Φ the normal distribution. */
public final class Gelu {
    /** How Φ is computed, in the order of {@code graft_gelu_kind}. */
    public enum Kind {
        /** {@code (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2}. */
        TANH,
        /** {@code (1 + erf(x/√2)) / 2}. */
        ERF
    }

    private Gelu() {}

    /** y = gelu(x), both [T, F]; y may be x. */
    public static void forward(Context context, Kind kind, Tensor x, Tensor y) {
        synchronized (context) {
            Status.check(graft_gelu_forward(
                    context.pointer(), kind.ordinal(), Tensor.pointer(context, x), Tensor.pointer(context, y)));
        }
    }

    /** dx = dy · gelu'(x); dx is overwritten and may be dy or x. */
    public static void backward(Context context, Kind kind, Tensor dy, Tensor x, Tensor dx) {
        synchronized (context) {
            Status.check(graft_gelu_backward(
                    context.pointer(),
                    kind.ordinal(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, dx)));
        }
    }
}
