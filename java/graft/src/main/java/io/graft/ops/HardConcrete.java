package io.graft.ops;

import static io.graft.binding.Native.graft_hard_concrete_backward;
import static io.graft.binding.Native.graft_hard_concrete_write;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Hard-concrete gates (arXiv 1712.01312) on a difference to a frozen weight, {@code W = original + factor · z ∘ d}: Diff pruning
 * (arXiv 2012.07463). d and the logits a [N, K] are f32; lower < 0 and upper > 1 are what gates are stretched to.
 */
public final class HardConcrete {
    /** Where a gate z comes from, in the order of {@code graft_gate_mode}. */
    public enum Mode {
        /** With random numbers. */
        SAMPLED,
        /** With the number in the middle. */
        MEAN,
        /** 1 where a > 0, else 0. */
        FIXED
    }

    private HardConcrete() {}

    /** W = original + factor · z ∘ d; original [N, K] of w's dtype. */
    public static void write(
            Context context,
            Tensor d,
            Tensor a,
            Tensor original,
            Mode mode,
            long seed,
            long offset,
            double lower,
            double upper,
            double factor,
            Weight w) {
        synchronized (context) {
            Status.check(graft_hard_concrete_write(
                    context.pointer(),
                    Tensor.pointer(context, d),
                    Tensor.pointer(context, a),
                    Tensor.pointer(context, original),
                    mode.ordinal(),
                    seed,
                    offset,
                    lower,
                    upper,
                    factor,
                    Weight.pointer(context, w)));
        }
    }

    /**
     * g [N, K] is dW and becomes the gradient of d; da [N, K] += that of a, and of penalty · Σ p with p the probability that a
     * gate is not 0; sums [2] f64 += (Σ p, Σ dW ∘ d ∘ z).
     */
    public static void backward(
            Context context,
            Tensor d,
            Tensor a,
            Mode mode,
            long seed,
            long offset,
            double lower,
            double upper,
            double factor,
            double penalty,
            Tensor g,
            Tensor da,
            Tensor sums) {
        synchronized (context) {
            Status.check(graft_hard_concrete_backward(
                    context.pointer(),
                    Tensor.pointer(context, d),
                    Tensor.pointer(context, a),
                    mode.ordinal(),
                    seed,
                    offset,
                    lower,
                    upper,
                    factor,
                    penalty,
                    Tensor.pointer(context, g),
                    Tensor.pointer(context, da),
                    Tensor.pointer(context, sums)));
        }
    }
}
