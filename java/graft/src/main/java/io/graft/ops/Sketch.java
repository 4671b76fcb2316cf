package io.graft.ops;

import static io.graft.binding.Native.graft_sketch_decode;
import static io.graft.binding.Native.graft_sketch_pack;
import static io.graft.binding.Native.graft_sketch_table_gradient;
import static io.graft.binding.Native.graft_sketch_unpack;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * SketchTune (arXiv 2410.06364): weights of frozen codes into trained tables, which {@link Linear} and {@link LoraLinear}
 * take as they are. {@link io.graft.tensor.Scope#sketch} makes one.
 */
public final class Sketch {
    private Sketch() {}

    /**
     * The codes of w [N, K] from codes u8: [N, K], a byte each, or [N, G, K/G/2], nibbles with the even column in the high
     * one.
     */
    public static void pack(Context context, Tensor codes, Weight w) {
        synchronized (context) {
            Status.check(
                    graft_sketch_pack(context.pointer(), Tensor.pointer(context, codes), Weight.pointer(context, w)));
        }
    }

    /** codes u8, in either layout of {@link #pack}, from w. */
    public static void unpack(Context context, Weight w, Tensor codes) {
        synchronized (context) {
            Status.check(
                    graft_sketch_unpack(context.pointer(), Weight.pointer(context, w), Tensor.pointer(context, codes)));
        }
    }

    /** matrix [N, K] float = W. */
    public static void decode(Context context, Weight w, Tensor matrix) {
        synchronized (context) {
            Status.check(graft_sketch_decode(
                    context.pointer(), Weight.pointer(context, w), Tensor.pointer(context, matrix)));
        }
    }

    /** dtable [N, G, L] f32 += the gradient of w's table: dyᵀ x summed by code. dy [T, N], x [T, K]. */
    public static void tableGradient(Context context, Tensor dy, Tensor x, Weight w, Tensor dtable) {
        synchronized (context) {
            Status.check(graft_sketch_table_gradient(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, x),
                    Weight.pointer(context, w),
                    Tensor.pointer(context, dtable)));
        }
    }
}
