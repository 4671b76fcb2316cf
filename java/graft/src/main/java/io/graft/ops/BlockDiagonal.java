package io.graft.ops;

import static io.graft.binding.Native.graft_block_diagonal_backward;
import static io.graft.binding.Native.graft_block_diagonal_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/**
 * {@code y = x (I + diag(r_1 … r_D))} with blocks r [D, n, n], or one block [1, n, n] for all. columns [D·n] i32 or i64 is the
 * order in which the blocks take x's columns and put y's, each once; null for the order that they are in.
 */
public final class BlockDiagonal {
    private BlockDiagonal() {}

    /** x, y [T, D·n]. */
    public static void forward(Context context, Tensor x, Tensor r, Tensor columns, Tensor y) {
        synchronized (context) {
            Status.check(graft_block_diagonal_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, r),
                    Tensor.pointer(context, columns),
                    Tensor.pointer(context, y)));
        }
    }

    /** dx is overwritten, or added to with accumulate; dr in f32 is added to. Each may be null, x when dr is. */
    public static void backward(
            Context context, Tensor dy, Tensor x, Tensor r, Tensor columns, boolean accumulate, Tensor dx, Tensor dr) {
        synchronized (context) {
            Status.check(graft_block_diagonal_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, r),
                    Tensor.pointer(context, columns),
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, dr)));
        }
    }
}
