package io.graft.nn;

import io.graft.ops.HardConcrete;
import io.graft.ops.Linear;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A difference to a projection's weight whose entries have gates, {@code W = original + c · z ∘ d} (Diff pruning, arXiv
 * 2012.07463, section 3): z of each entry, and, in the structured form, c of the whole matrix. W itself holds the sum, so that
 * forward and dx are the plain layer's; the whole weight's gradient is what d and the gates learn from.
 */
public final class GatedDifference implements Attachment {
    /** What gates are stretched to, the authors' numbers: closed and open are as likely. */
    private static final double LOWER = -1.5;

    private static final double UPPER = 1.5;

    private final Parameter difference;
    private final Parameter logits;
    private final Parameter group;
    private final Tensor original;
    private final Tensor sums;
    private final long offset;
    private HardConcrete.Mode mode = HardConcrete.Mode.MEAN;
    private long seed;

    /**
     * @param difference d [out, in]
     * @param logits of the gates z [out, in]
     * @param group logit [1] of the gate c, or null
     * @param original the base model's weight
     * @param offset of the layer's random numbers
     */
    public GatedDifference(Parameter difference, Parameter logits, Parameter group, Tensor original, long offset) {
        this.difference = difference;
        this.logits = logits;
        this.group = group;
        this.original = original;
        this.offset = offset;
        this.sums = original.scope().tensor(Memory.OPTIMIZER, DType.F64, 2);
    }

    public Parameter difference() {
        return difference;
    }

    public Parameter logits() {
        return logits;
    }

    /** Where gates come from now; to be followed by {@link #write}. */
    public void gates(HardConcrete.Mode value, long newSeed) {
        mode = value;
        seed = newSeed;
    }

    /** c · z ∘ d with the gates in the middle of their range, into a matrix of zeros. */
    public void expected(Weight into, Tensor zeros) {
        HardConcrete.write(
                context(),
                difference.value(),
                logits.value(),
                zeros,
                HardConcrete.Mode.MEAN,
                0,
                0,
                LOWER,
                UPPER,
                group(HardConcrete.Mode.MEAN).z(),
                into);
    }

    private record Gate(double z, double slope, double open) {}

    /** The gate of the matrix, by the formula of the entries' ones. */
    private Gate group(HardConcrete.Mode how) {
        if (group == null || how == HardConcrete.Mode.FIXED) {
            return new Gate(1, 0, 1);
        }
        double a = group.value().doubles()[0];
        double logit = a;
        if (how == HardConcrete.Mode.SAMPLED) {
            double u = ((mixed(seed + offset) >>> 11) + 0.5) * 0x1p-53;
            logit += Math.log(u) - Math.log1p(-u);
        }
        double s = sigmoid(logit);
        double stretched = s * (UPPER - LOWER) + LOWER;
        boolean inside = stretched > 0 && stretched < 1;
        return new Gate(
                Math.min(1, Math.max(0, stretched)),
                inside ? s * (1 - s) * (UPPER - LOWER) : 0,
                sigmoid(a - Math.log(-LOWER / UPPER)));
    }

    private static double sigmoid(double x) {
        return 1 / (1 + Math.exp(-x));
    }

    /** The mixer of SplitMix64. */
    private static long mixed(long value) {
        long z = value + 0x9E3779B97F4A7C15L;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Linear.forward(pass.context(), x, weight, null, accumulate, y);
    }

    /** The gradient of d is that of W until {@link #handOn}. */
    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx != null || trainable()) {
            Linear.backward(pass.context(), dy, x, weight, accumulate, dx, difference.gradient(), null);
        }
    }

    /**
     * Makes gradients of d and of the gates out of W's, and adds those of a penalty on open gates; returns the number of gates
     * that are expected to be open.
     *
     * @param penalty for each gate that is open
     */
    public double handOn(double penalty) {
        Gate c = group(mode);
        TensorOps.fill(context(), 0, sums);
        HardConcrete.backward(
                context(),
                difference.value(),
                logits.value(),
                mode,
                seed,
                offset,
                LOWER,
                UPPER,
                c.z(),
                penalty * c.open(),
                difference.gradient(),
                logits.gradient(),
                sums);
        double[] found = sums.doubles();
        if (group != null && mode != HardConcrete.Mode.FIXED) {
            double[] gradient = group.gradient().doubles();
            gradient[0] += c.slope() * found[1] + penalty * c.open() * (1 - c.open()) * found[0];
            group.gradient().set(gradient);
        }
        return c.open() * found[0];
    }

    @Override
    public boolean trainable() {
        return difference.trainable();
    }

    @Override
    public boolean removable() {
        return false;
    }

    @Override
    public void write(Weight weight) {
        HardConcrete.write(
                context(),
                difference.value(),
                logits.value(),
                original,
                mode,
                seed,
                offset,
                LOWER,
                UPPER,
                group(mode).z(),
                weight);
    }

    /** Gives the weight its original entries back, bit by bit; {@link #write} undoes it. */
    public void restore(Weight weight) {
        TensorOps.copy(context(), original, weight.matrix());
    }

    /** W holds the difference already, unless it was taken out. */
    @Override
    public void merge(Weight weight) {
        write(weight);
    }

    private Context context() {
        return original.scope().context();
    }
}
