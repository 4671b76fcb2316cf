package io.graft.ops;

import static io.graft.binding.Native.graft_attention_backward;
import static io.graft.binding.Native.graft_attention_forward;
import static io.graft.binding.Native.graft_attention_paged_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** Causal softmax attention by tiles (arXiv 2205.14135, 2307.08691): no T×S matrix in memory. */
public final class Attention {
    private Attention() {}

    /**
     * q, o [B, T, Hq, D]; k, v [B, S, Hk, D]; lengths [B] i32 or null; starts [B, T] i32, the first position of each
     * query's own segment, or null; lse [B, Hq, T] f32, kept for backward, null in inference. Query i stands at position
     * past + i; window 0 means none, as does softcap 0.
     */
    public static void forward(
            Context context,
            Tensor q,
            Tensor k,
            Tensor v,
            Tensor lengths,
            Tensor starts,
            double scale,
            double softcap,
            long past,
            long window,
            Tensor o,
            Tensor lse) {
        synchronized (context) {
            Status.check(graft_attention_forward(
                    context.pointer(),
                    Tensor.pointer(context, q),
                    Tensor.pointer(context, k),
                    Tensor.pointer(context, v),
                    Tensor.pointer(context, lengths),
                    Tensor.pointer(context, starts),
                    scale,
                    softcap,
                    past,
                    window,
                    Tensor.pointer(context, o),
                    Tensor.pointer(context, lse)));
        }
    }

    /**
     * For inference, over keys and values in pages: k, v [P, S, Hk, D]; pages [B, M] i32, the pages of each row's keys in
     * their order; lengths [B] i32, the keys of each row, those of its T queries among them.
     */
    public static void pagedForward(
            Context context,
            Tensor q,
            Tensor k,
            Tensor v,
            Tensor pages,
            Tensor lengths,
            double scale,
            double softcap,
            long window,
            Tensor o) {
        synchronized (context) {
            Status.check(graft_attention_paged_forward(
                    context.pointer(),
                    Tensor.pointer(context, q),
                    Tensor.pointer(context, k),
                    Tensor.pointer(context, v),
                    Tensor.pointer(context, pages),
                    Tensor.pointer(context, lengths),
                    scale,
                    softcap,
                    window,
                    Tensor.pointer(context, o)));
        }
    }

    /** dq, dk, dv are overwritten; all three are wanted. */
    public static void backward(
            Context context,
            Tensor dout,
            Tensor q,
            Tensor k,
            Tensor v,
            Tensor o,
            Tensor lse,
            Tensor lengths,
            Tensor starts,
            double scale,
            double softcap,
            long past,
            long window,
            Tensor dq,
            Tensor dk,
            Tensor dv) {
        synchronized (context) {
            Status.check(graft_attention_backward(
                    context.pointer(),
                    Tensor.pointer(context, dout),
                    Tensor.pointer(context, q),
                    Tensor.pointer(context, k),
                    Tensor.pointer(context, v),
                    Tensor.pointer(context, o),
                    Tensor.pointer(context, lse),
                    Tensor.pointer(context, lengths),
                    Tensor.pointer(context, starts),
                    scale,
                    softcap,
                    past,
                    window,
                    Tensor.pointer(context, dq),
                    Tensor.pointer(context, dk),
                    Tensor.pointer(context, dv)));
        }
    }
}
