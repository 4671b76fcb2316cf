package io.graft.ops;

import static io.graft.binding.Native.graft_lora_backward;
import static io.graft.binding.Native.graft_lora_forward;
import static io.graft.binding.Native.graft_lora_merge;
import static io.graft.binding.Native.graft_lora_pack;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Low-rank adaptation folded into the frozen layer: {@code y = x Wᵀ + bias + scale · drop(x) Aᵀ Bᵀ} (arXiv 2106.09685).
 */
public final class LoraLinear {
    private LoraLinear() {}

    /** Writes a [r, K] and scale · b [N, r] into the border of w. Call after every change of a or b. */
    public static void pack(Context context, Tensor a, Tensor b, double scale, Weight w) {
        synchronized (context) {
            Status.check(graft_lora_pack(
                    context.pointer(),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    scale,
                    Weight.pointer(context, w)));
        }
    }

    /**
     * s [T, r] is kept for backward, null in inference. Where w has a border and x a pitch with room for it, those
     * columns behind each row of x are scratch and the whole is one matrix product.
     */
    public static void forward(
            Context context,
            Tensor x,
            Weight w,
            Tensor a,
            Tensor b,
            double scale,
            Tensor bias,
            double dropout,
            long seed,
            long offset,
            boolean accumulate,
            Tensor y,
            Tensor s) {
        synchronized (context) {
            Status.check(graft_lora_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    scale,
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
     * dx [T, K] is overwritten, or added to with accumulate; da [r, K], db [N, r] and dbias [N] f32 are added to. Each
     * may be null, x when da is, s when db is.
     */
    public static void backward(
            Context context,
            Tensor dy,
            Tensor x,
            Tensor s,
            Weight w,
            Tensor a,
            Tensor b,
            double scale,
            double dropout,
            long seed,
            long offset,
            boolean accumulate,
            Tensor dx,
            Tensor da,
            Tensor db,
            Tensor dbias) {
        synchronized (context) {
            Status.check(graft_lora_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, s),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    scale,
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

    /** merged [N, K] = W + scale · B A; it may be the memory of W itself. */
    public static void merge(Context context, Weight w, Tensor a, Tensor b, double scale, Tensor merged) {
        synchronized (context) {
            Status.check(graft_lora_merge(
                    context.pointer(),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, b),
                    scale,
                    Tensor.pointer(context, merged)));
        }
    }
}
