package io.graft.ops;

import static io.graft.binding.Native.graft_mixture_blocks_backward;
import static io.graft.binding.Native.graft_mixture_blocks_forward;
import static io.graft.binding.Native.graft_mixture_combine_backward;
import static io.graft.binding.Native.graft_mixture_combine_forward;
import static io.graft.binding.Native.graft_mixture_route_backward;
import static io.graft.binding.Native.graft_mixture_route_forward;
import static io.graft.binding.Native.graft_mixture_vectors_backward;
import static io.graft.binding.Native.graft_mixture_vectors_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** Mixtures of experts inside a layer: a router's gates [T, E], and the blocks or vectors that they weigh. */
public final class Mixture {
    private Mixture() {}

    /**
     * gates [T, E]: of each row's topK largest logits the softmax among themselves, or amongAll; 0 elsewhere. gates may be
     * logits.
     */
    public static void routeForward(Context context, Tensor logits, long topK, boolean amongAll, Tensor gates) {
        synchronized (context) {
            Status.check(graft_mixture_route_forward(
                    context.pointer(),
                    Tensor.pointer(context, logits),
                    topK,
                    amongAll ? 1 : 0,
                    Tensor.pointer(context, gates)));
        }
    }

    /**
     * dlogits from dgates (null: 0), which it may be; and with balance the gradient of balance · E · Σ f p over the rows
     * that lengths [B] i32 let count (null: all), which is added to loss [1] (may be null).
     */
    public static void routeBackward(
            Context context,
            Tensor logits,
            Tensor gates,
            Tensor dgates,
            boolean amongAll,
            double balance,
            Tensor lengths,
            Tensor dlogits,
            Tensor loss) {
        synchronized (context) {
            Status.check(graft_mixture_route_backward(
                    context.pointer(),
                    Tensor.pointer(context, logits),
                    Tensor.pointer(context, gates),
                    Tensor.pointer(context, dgates),
                    amongAll ? 1 : 0,
                    balance,
                    Tensor.pointer(context, lengths),
                    Tensor.pointer(context, dlogits),
                    Tensor.pointer(context, loss)));
        }
    }

    /** y [T, E·r] = scale · gates ⊙ x, block e of a row by its gate; y may be x. */
    public static void blocksForward(Context context, Tensor x, Tensor gates, double scale, Tensor y) {
        synchronized (context) {
            Status.check(graft_mixture_blocks_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, gates),
                    scale,
                    Tensor.pointer(context, y)));
        }
    }

    /** dx (may be dy) and dgates are overwritten; each may be null. */
    public static void blocksBackward(
            Context context, Tensor dy, Tensor x, Tensor gates, double scale, Tensor dx, Tensor dgates) {
        synchronized (context) {
            Status.check(graft_mixture_blocks_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, gates),
                    scale,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, dgates)));
        }
    }

    /** y [T, N] = x ⊙ (gates v) with v [E, N], or y += with accumulate; y may be x unless it is added to. */
    public static void vectorsForward(Context context, Tensor x, Tensor gates, Tensor v, boolean accumulate, Tensor y) {
        synchronized (context) {
            Status.check(graft_mixture_vectors_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, gates),
                    Tensor.pointer(context, v),
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, y)));
        }
    }

    /** dx (may be dy) and dgates are overwritten, dv [E, N] is added to; each may be null. */
    public static void vectorsBackward(
            Context context, Tensor dy, Tensor x, Tensor gates, Tensor v, Tensor dx, Tensor dgates, Tensor dv) {
        synchronized (context) {
            Status.check(graft_mixture_vectors_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, gates),
                    Tensor.pointer(context, v),
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, dgates),
                    Tensor.pointer(context, dv)));
        }
    }

    /** y [T, N] = Σ_e gates[t, e] · block e of x [T, E·N]. */
    public static void combineForward(Context context, Tensor x, Tensor gates, Tensor y) {
        synchronized (context) {
            Status.check(graft_mixture_combine_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, gates),
                    Tensor.pointer(context, y)));
        }
    }

    /**
     * dx [T, E·N] = gates ⊙ dy by blocks, or added to with accumulate; dgates [T, E] = dy with each block of x, overwritten.
     * Each may be null, x when dgates is, gates when dx is.
     */
    public static void combineBackward(
            Context context, Tensor dy, Tensor x, Tensor gates, boolean accumulate, Tensor dx, Tensor dgates) {
        synchronized (context) {
            Status.check(graft_mixture_combine_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, gates),
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, dgates)));
        }
    }
}
