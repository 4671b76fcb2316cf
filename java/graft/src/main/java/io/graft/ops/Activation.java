package io.graft.ops;

import static io.graft.binding.Native.graft_activation_backward;
import static io.graft.binding.Native.graft_activation_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** Elementwise functions whose derivative is a function of their result. */
public final class Activation {
    /** Which function, in the order of {@code graft_activation_kind}. */
    public enum Kind {
        RELU,
        TANH,
        SIGMOID
    }

    private Activation() {}

    /** y = f(x), both [T, F]; y may be x. */
    public static void forward(Context context, Kind kind, Tensor x, Tensor y) {
        synchronized (context) {
            Status.check(graft_activation_forward(
                    context.pointer(), kind.ordinal(), Tensor.pointer(context, x), Tensor.pointer(context, y)));
        }
    }

    /** dx = dy · f'(x) from y = f(x); dx is overwritten and may be dy or y. */
    public static void backward(Context context, Kind kind, Tensor dy, Tensor y, Tensor dx) {
        synchronized (context) {
            Status.check(graft_activation_backward(
                    context.pointer(),
                    kind.ordinal(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, y),
                    Tensor.pointer(context, dx)));
        }
    }
}
