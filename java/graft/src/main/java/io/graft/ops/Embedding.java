package io.graft.ops;

import static io.graft.binding.Native.graft_embedding_backward;
import static io.graft.binding.Native.graft_embedding_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** Embedding: {@code y[t] = scale · table[ids[t]]}. */
public final class Embedding {
    private Embedding() {}

    /** table [V, H]; ids [T] i32 or i64; y [T, H]. */
    public static void forward(Context context, Tensor table, Tensor ids, double scale, Tensor y) {
        synchronized (context) {
            Status.check(graft_embedding_forward(
                    context.pointer(),
                    Tensor.pointer(context, table),
                    Tensor.pointer(context, ids),
                    scale,
                    Tensor.pointer(context, y)));
        }
    }

    /** dtable [V, H] f32 is added to, repeated ids in order of t. */
    public static void backward(Context context, Tensor ids, Tensor dy, double scale, Tensor dtable) {
        synchronized (context) {
            Status.check(graft_embedding_backward(
                    context.pointer(),
                    Tensor.pointer(context, ids),
                    Tensor.pointer(context, dy),
                    scale,
                    Tensor.pointer(context, dtable)));
        }
    }
}
