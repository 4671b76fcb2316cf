package io.graft.ops;

import static io.graft.binding.Native.graft_gelu_backward;
import static io.graft.binding.Native.graft_gelu_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** GELU in its tanh form: {@code y = x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))} (arXiv 1606.08415). */
public final class Gelu {
    private Gelu() {}

    /** y = gelu(x), both [T, F]; y may be x. */
    public static void forward(Context context, Tensor x, Tensor y) {
        synchronized (context) {
            Status.check(graft_gelu_forward(context.pointer(), Tensor.pointer(context, x), Tensor.pointer(context, y)));
        }
    }

    /** dx = dy · gelu'(x); dx is overwritten and may be dy or x. */
    public static void backward(Context context, Tensor dy, Tensor x, Tensor dx) {
        synchronized (context) {
            Status.check(graft_gelu_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, dx)));
        }
    }
}
