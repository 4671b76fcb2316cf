package io.graft.ops;

import static io.graft.binding.Native.GRAFT_ADAMW_BLOCK;
import static io.graft.binding.Native.graft_adamw_squared_norm;
import static io.graft.binding.Native.graft_adamw_squared_norms;
import static io.graft.binding.Native.graft_adamw_step;
import static io.graft.binding.Native.graft_adamw_step_8bit;
import static io.graft.binding.Native.graft_adamw_steps;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** AdamW with decoupled weight decay (arXiv 1711.05101, algorithm 2) and clipping by the global norm. */
public final class AdamWStep {
    /** Elements that share a scale in {@link #step8bit}. */
    public static final int BLOCK = GRAFT_ADAMW_BLOCK;

    private AdamWStep() {}

    /** sum [1] f64 += Σ g²; call once for each gradient, from a zeroed sum. */
    public static void squaredNorm(Context context, Tensor g, Tensor sum) {
        synchronized (context) {
            Status.check(graft_adamw_squared_norm(
                    context.pointer(), Tensor.pointer(context, g), Tensor.pointer(context, sum)));
        }
    }

    /** sum [1] f64 += Σ g² over the gradients of all parameters of a table: the bits of a call for each, in order. */
    public static void squaredNorms(Context context, AdamWParameters parameters, Tensor sum) {
        synchronized (context) {
            Status.check(graft_adamw_squared_norms(
                    context.pointer(),
                    AdamWParameters.pointer(context, parameters),
                    AdamWParameters.count(parameters),
                    Tensor.pointer(context, sum)));
        }
    }

    /**
     * The step of each parameter of a table, with the bits of {@link #step} or {@link #step8bit} for each, and of
     * {@link Paca#write} where it goes into columns; nothing is moved where one is wrong.
     */
    public static void steps(
            Context context,
            AdamWParameters parameters,
            double beta1,
            double beta2,
            double epsilon,
            long step,
            double maxNorm,
            Tensor squaredNorm) {
        synchronized (context) {
            Status.check(graft_adamw_steps(
                    context.pointer(),
                    AdamWParameters.pointer(context, parameters),
                    AdamWParameters.count(parameters),
                    beta1,
                    beta2,
                    epsilon,
                    step,
                    maxNorm,
                    Tensor.pointer(context, squaredNorm)));
        }
    }

    /**
     * One step of one parameter: p, g, m, v f32 of one shape; output is the parameter in its compute type or null;
     * squaredNorm null or maxNorm 0 means no clipping; step counts from 1. Or p is bf16, without gaps, and output null: moved
     * in fp32 and rounded at random (arXiv 1502.02551), by bits of this seed, another one for each parameter and step.
     */
    public static void step(
            Context context,
            Tensor g,
            double learningRate,
            double beta1,
            double beta2,
            double epsilon,
            double weightDecay,
            long step,
            double maxNorm,
            Tensor squaredNorm,
            long seed,
            Tensor p,
            Tensor m,
            Tensor v,
            Tensor output) {
        synchronized (context) {
            Status.check(graft_adamw_step(
                    context.pointer(),
                    Tensor.pointer(context, g),
                    learningRate,
                    beta1,
                    beta2,
                    epsilon,
                    weightDecay,
                    step,
                    maxNorm,
                    Tensor.pointer(context, squaredNorm),
                    seed,
                    Tensor.pointer(context, p),
                    Tensor.pointer(context, m),
                    Tensor.pointer(context, v),
                    Tensor.pointer(context, output)));
        }
    }

    /**
     * The same step with moments in 8 bits (arXiv 2110.02861, section 2): m and v are u8 codes of p's shape, their scales f32
     * [ceil(elements / BLOCK)], zero at the start; all tensors without gaps.
     */
    public static void step8bit(
            Context context,
            Tensor g,
            double learningRate,
            double beta1,
            double beta2,
            double epsilon,
            double weightDecay,
            long step,
            double maxNorm,
            Tensor squaredNorm,
            long seed,
            Tensor p,
            Tensor m,
            Tensor mScale,
            Tensor v,
            Tensor vScale,
            Tensor output) {
        synchronized (context) {
            Status.check(graft_adamw_step_8bit(
                    context.pointer(),
                    Tensor.pointer(context, g),
                    learningRate,
                    beta1,
                    beta2,
                    epsilon,
                    weightDecay,
                    step,
                    maxNorm,
                    Tensor.pointer(context, squaredNorm),
                    seed,
                    Tensor.pointer(context, p),
                    Tensor.pointer(context, m),
                    Tensor.pointer(context, mScale),
                    Tensor.pointer(context, v),
                    Tensor.pointer(context, vScale),
                    Tensor.pointer(context, output)));
        }
    }
}
