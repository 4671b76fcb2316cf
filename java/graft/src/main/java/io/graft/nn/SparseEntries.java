package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.Sparse;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Trained entries of a projection's weight: {@code W[i, j] = original + d}. W itself holds the sum, so forward and dx are
 * the plain layer's; the gradient is the chosen entries of dyᵀ x.
 */
public final class SparseEntries implements Attachment {
    private final Parameter delta;
    private final Tensor indices;
    private final Tensor original;
    private boolean chosen;
    private Observation observation;

    /**
     * What is gathered of a projection's whole weight gradient while entries are not chosen yet; all [out, in] of the dtype of
     * gradients.
     *
     * @param pass one pass's gradient, scratch; null where squares are not wanted
     * @param sums the sum of the gradients of all passes, or null
     * @param squares the sum of their squares, or null
     */
    public record Observation(Tensor pass, Tensor sums, Tensor squares) {}

    /**
     * Entries that are in {@code indices} already, or, with {@code chosen} false, will be before training.
     *
     * @param delta d [nnz]
     * @param indices [2, nnz], ascending
     * @param original [nnz] of W's dtype: the base model's entries
     */
    public SparseEntries(Parameter delta, Tensor indices, Tensor original, boolean chosen) {
        this.delta = delta;
        this.indices = indices;
        this.original = original;
        this.chosen = chosen;
    }

    public Parameter delta() {
        return delta;
    }

    /** [2, nnz]: rows above columns. */
    public Tensor indices() {
        return indices;
    }

    /** The base model's entries [nnz], of W's dtype. */
    public Tensor original() {
        return original;
    }

    /** Until it is called with null, backward gathers the gradient of the whole weight, and none of the entries. */
    public void observe(Observation gathered) {
        observation = gathered;
    }

    /** To be called when the indices are filled: takes the base model's entries from W. */
    public void chosen(Weight weight) {
        Sparse.read(weight.matrix().scope().context(), weight, indices, original);
        chosen = true;
    }

    /** Whether there are entries that are trained. */
    public boolean isChosen() {
        return chosen;
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Linear.forward(pass.context(), x, weight, null, accumulate, y);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        Context context = pass.context();
        if (observation != null) {
            observe(context, weight, dy, x, accumulate, dx);
            return;
        }
        if (dx != null) {
            Linear.backward(context, dy, null, weight, accumulate, dx, null, null);
        }
        if (trainable()) {
            if (!chosen) {
                throw new IllegalStateException("SparseEntries.backward: no entries are chosen for " + delta.name());
            }
            Sparse.gradient(context, dy, x, indices, delta.gradient());
        }
    }

    private void observe(Context context, Weight weight, Tensor dy, Tensor x, boolean accumulate, Tensor dx) {
        Tensor pass = observation.pass();
        if (pass == null) {
            Linear.backward(context, dy, x, weight, accumulate, dx, observation.sums(), null);
            return;
        }
        TensorOps.fill(context, 0, pass);
        Linear.backward(context, dy, x, weight, accumulate, dx, pass, null);
        if (observation.sums() != null) {
            TensorOps.add(context, pass, observation.sums());
        }
        if (observation.squares() != null) {
            Sparse.addSquares(context, pass, observation.squares());
        }
    }

    @Override
    public boolean trainable() {
        return delta.trainable();
    }

    @Override
    public boolean removable() {
        return false;
    }

    @Override
    public void write(Weight weight) {
        if (chosen) {
            Sparse.write(weight.matrix().scope().context(), delta.value(), original, indices, weight);
        }
    }

    /** Gives the weight its original entries back, bit by bit; {@link #write} undoes it. */
    public void restore(Weight weight) {
        if (chosen) {
            Sparse.write(weight.matrix().scope().context(), null, original, indices, weight);
        }
    }

    /** W holds the trained entries already, unless they were taken out. */
    @Override
    public void merge(Weight weight) {
        write(weight);
    }
}
