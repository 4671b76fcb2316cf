package io.graft.ops;

import static io.graft.binding.Native.graft_nf4_dequantize;
import static io.graft.binding.Native.graft_nf4_quantize;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * NF4 (QLoRA, arXiv 2305.14314, section 3): weights of 4 bits, which {@link Linear} and {@link LoraLinear} take as they
 * are. {@link io.graft.tensor.Scope#nf4} makes one.
 */
public final class Nf4 {
    private Nf4() {}

    /** The codes and scales of w [N, K] from a float matrix [N, K]. */
    public static void quantize(Context context, Tensor matrix, Weight w) {
        synchronized (context) {
            Status.check(
                    graft_nf4_quantize(context.pointer(), Tensor.pointer(context, matrix), Weight.pointer(context, w)));
        }
    }

    /** matrix [N, K] float = what the codes of w stand for. */
    public static void dequantize(Context context, Weight w, Tensor matrix) {
        synchronized (context) {
            Status.check(graft_nf4_dequantize(
                    context.pointer(), Weight.pointer(context, w), Tensor.pointer(context, matrix)));
        }
    }
}
