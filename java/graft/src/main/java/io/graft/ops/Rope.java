package io.graft.ops;

import static io.graft.binding.Native.graft_rope_backward;
import static io.graft.binding.Native.graft_rope_forward;
import static io.graft.binding.Native.graft_rope_frequencies;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** Rotary position embedding (arXiv 2104.09864), half-split or interleaved pairs, whole or partial heads. */
public final class Rope {
    /** How frequencies are scaled, in the order of {@code graft_rope_scaling}, which says what each does. */
    public enum Scaling {
        NONE,
        LINEAR,
        LLAMA3,
        YARN
    }

    private Rope() {}

    /** Inverse frequencies into inverseFrequencies [R/2] f32; what a scaling does not use may be 0. */
    public static void frequencies(
            Context context,
            double theta,
            Scaling scaling,
            double factor,
            double low,
            double high,
            double original,
            Tensor inverseFrequencies) {
        synchronized (context) {
            Status.check(graft_rope_frequencies(
                    context.pointer(),
                    theta,
                    scaling.ordinal(),
                    factor,
                    low,
                    high,
                    original,
                    Tensor.pointer(context, inverseFrequencies)));
        }
    }

    /**
     * x, y [B, T, H, D], which may be the same memory; positions [B, T] i32; the first R of D are turned and multiplied with
     * magnitude.
     */
    public static void forward(
            Context context,
            Tensor x,
            Tensor positions,
            Tensor inverseFrequencies,
            boolean interleaved,
            double magnitude,
            Tensor y) {
        synchronized (context) {
            Status.check(graft_rope_forward(
                    context.pointer(),
                    Tensor.pointer(context, x),
                    Tensor.pointer(context, positions),
                    Tensor.pointer(context, inverseFrequencies),
                    interleaved ? 1 : 0,
                    magnitude,
                    Tensor.pointer(context, y)));
        }
    }

    /** dx is magnitude times the inverse rotation of dy; both may be the same memory. */
    public static void backward(
            Context context,
            Tensor dy,
            Tensor positions,
            Tensor inverseFrequencies,
            boolean interleaved,
            double magnitude,
            Tensor dx) {
        synchronized (context) {
            Status.check(graft_rope_backward(
                    context.pointer(),
                    Tensor.pointer(context, dy),
                    Tensor.pointer(context, positions),
                    Tensor.pointer(context, inverseFrequencies),
                    interleaved ? 1 : 0,
                    magnitude,
                    Tensor.pointer(context, dx)));
        }
    }
}
