package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.Paca;
import io.graft.ops.Sparse;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Trained columns of a projection's weight: {@code W[:, I] = original + scale · D}. W itself holds the sum, so forward is
 * the plain layer; backward needs x[:, I] only, and all of x where the gradients of other columns are measured too.
 */
public final class PartialColumns implements TrainedColumns {
    private final Parameter delta;
    private final Tensor indices;
    private final Tensor original;
    private final double scale;
    private final Measure measure;
    private boolean measuring;

    /**
     * Room to measure how large the gradient of each column of the whole weight is.
     *
     * @param gradient [out, in] of the dtype of gradients: that of one pass, scratch that layers may share
     * @param norms [in]: scratch
     * @param row the same as [1, in]
     * @param sums [1, in]: of each column the squared 2-norm of its gradient, added up over passes
     */
    public record Measure(Weight gradient, Tensor norms, Tensor row, Tensor sums) {
        /** @param gradient as above */
        public static Measure of(Scope scope, Weight gradient) {
            Tensor norms = scope.tensor(Memory.GRADIENT, gradient.dtype(), gradient.k());
            Tensor sums = scope.tensor(Memory.GRADIENT, gradient.dtype(), 1, gradient.k());
            return new Measure(gradient, norms, norms.reshape(1, gradient.k()), sums);
        }
    }

    /**
     * @param delta D [out, r]
     * @param indices I [r], different from each other
     * @param original the base model's columns [out, r], of W's dtype
     * @param scale alpha / r
     * @param measure null where other columns' gradients are never asked for
     */
    public PartialColumns(Parameter delta, Tensor indices, Tensor original, double scale, Measure measure) {
        this.delta = delta;
        this.indices = indices;
        this.original = original;
        this.scale = scale;
        this.measure = measure;
    }

    @Override
    public Parameter delta() {
        return delta;
    }

    @Override
    public Tensor indices() {
        return indices;
    }

    /** The base model's columns [out, r], of W's dtype. */
    public Tensor original() {
        return original;
    }

    @Override
    public double scale() {
        return scale;
    }

    /** From zero sums: whether backward adds up the gradients of all columns. */
    public void measure(boolean on) {
        measuring = on;
        if (on) {
            TensorOps.fill(indices.scope().context(), 0, measure.sums());
        }
    }

    /** What was measured; null where nothing can be. */
    public Measure measure() {
        return measure;
    }

    /** x[:, I]. */
    @Override
    public int kept() {
        return (int) indices.size(0);
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Paca.forward(pass.context(), x, weight, indices, null, accumulate, y, trainable() ? kept : null);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx != null || trainable()) {
            Paca.backward(pass.context(), dy, kept, weight, scale, accumulate, dx, delta.gradient(), null);
        }
        if (measuring) {
            Context context = pass.context();
            TensorOps.fill(context, 0, measure.gradient().matrix());
            Linear.backward(
                    context, dy, x, weight, false, null, measure.gradient().matrix(), null);
            Paca.columnNorms(context, measure.gradient(), measure.norms());
            Sparse.addSquares(context, measure.row(), measure.sums());
        }
    }

    @Override
    public boolean trainable() {
        return delta.trainable();
    }

    /** why not only while measuring: whether inputs are kept is asked once, when buffers are made. */
    @Override
    public boolean removable() {
        return false;
    }

    @Override
    public boolean readsInput() {
        return measure != null;
    }

    /** Does nothing where the optimiser has done it in the step before. */
    @Override
    public void write(Weight weight) {
        if (!delta.takeInColumns()) {
            Paca.write(weight.matrix().scope().context(), delta.value(), original, indices, scale, weight);
        }
    }

    /** Gives the weight its original columns back, bit by bit; {@link #write} undoes it. */
    public void restore(Weight weight) {
        delta.takeInColumns();
        Paca.write(weight.matrix().scope().context(), null, original, indices, scale, weight);
    }

    /** W holds the trained columns already, unless they were taken out. */
    @Override
    public void merge(Weight weight) {
        write(weight);
    }
}
