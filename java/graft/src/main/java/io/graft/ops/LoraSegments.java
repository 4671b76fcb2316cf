package io.graft.ops;

import static io.graft.binding.Native.graft_lora_segments_backward;
import static io.graft.binding.Native.graft_lora_segments_forward;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Several low-rank adapters on one frozen layer: {@code y = x Wᵀ + bias}, and in the rows of each segment
 * {@code + scale_e · drop(x) A_eᵀ B_eᵀ}, e being its adapter.
 *
 * <p>segments [G, 2] i32: the row behind each one's last, and its adapter or -1; ranks [E] i32, scales [E] f64; a [R, K]
 * and b [N, R] are the adapters' factors side by side, R the sum of the ranks. The first three live in the
 * {@linkplain Context#host() host} of the context.
 */
public final class LoraSegments {
    private LoraSegments() {}

    /** s [T, largest rank] is kept for backward, null in inference. */
    public static void forward(
            Context context,
            Tensor x,
            Weight w,
            Tensor segments,
            Tensor ranks,
            Tensor scales,
            Tensor a,
            Tensor b,
            Tensor bias,
            double dropout,
            long seed,
            long offset,
            boolean accumulate,
            Tensor y,
            Tensor s) {
        synchronized (context) {
            Status.check(graft_lora_segments_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Weight.pointer(context, w),
                    Tensor.pointer(context.host(), segments),
                    Tensor.pointer(context.host(), ranks),
                    Tensor.pointer(context.host(), scales),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    Tensor.pointer(context, bias),
                    dropout,
                    seed,
                    offset,
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, y),
                    Tensor.pointer(context, s)));
        }
    }

    /**
     * dx [T, K] is overwritten, or added to with accumulate; da [R, K], db [N, R] and dbias [N] f32 are added to. Each may
     * be null, x when da is, s when db is.
     */
    public static void backward(
            Context context,
            Tensor dy,
            Tensor x,
            Tensor s,
            Weight w,
            Tensor segments,
            Tensor ranks,
            Tensor scales,
            Tensor a,
            Tensor b,
            double dropout,
            long seed,
            long offset,
            boolean accumulate,
            Tensor dx,
            Tensor da,
            Tensor db,
            Tensor dbias) {
        synchronized (context) {
            Status.check(graft_lora_segments_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, s),
                    Weight.pointer(context, w),
                    Tensor.pointer(context.host(), segments),
                    Tensor.pointer(context.host(), ranks),
                    Tensor.pointer(context.host(), scales),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    dropout,
                    seed,
                    offset,
                    accumulate ? 1 : 0,
                    Tensor.pointer(context, dx),
                    Tensor.pointer(context, da),
                    Tensor.pointer(context, db),
                    Tensor.pointer(context, dbias)));
        }
    }
}
