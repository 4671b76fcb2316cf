package io.graft.nn;

import io.graft.ops.Ia3;
import io.graft.ops.Linear;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A trained scale and shift of a projection's outputs, {@code y = (x Wᵀ) ⊙ γ + β}. The output before scaling is kept for
 * backward, since a scale may be zero.
 */
public final class ScaleShift implements Attachment {
    private final Parameter scale;
    private final Parameter shift;
    private Scope views;
    private Tensor shifts;

    /**
     * @param scale γ [out]
     * @param shift β [out]
     */
    public ScaleShift(Parameter scale, Parameter shift) {
        this.scale = scale;
        this.shift = shift;
    }

    @Override
    public int kept() {
        return trainable() ? (int) scale.value().size(0) : 0;
    }

    /** why β first: the product adds to what is there, so that a fresh layer has the base's bits. */
    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Context context = pass.context();
        if (accumulate) {
            TensorOps.add(context, shifts(y.size(0)), y);
        } else {
            TensorOps.copy(context, shifts(y.size(0)), y);
        }
        Ia3.forward(context, x, weight, null, scale.value(), null, true, y, kept);
    }

    /** β as the rows of a matrix [rows, out]. */
    private Tensor shifts(long rows) {
        if (shifts == null || shifts.size(0) != rows) {
            if (views != null) {
                views.close();
            }
            Tensor beta = shift.value();
            views = beta.scope().scope();
            shifts = views.view(beta, 0, new long[] {rows, beta.size(0)}, new long[] {0, 1});
        }
        return shifts;
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        Context context = pass.context();
        if (dx != null || trainable()) {
            Ia3.backward(
                    context, dy, null, kept, weight, null, scale.value(), accumulate, dx, null, scale.gradient(), null);
        }
        if (trainable()) {
            Linear.backward(context, dy, null, weight, false, null, null, shift.gradient());
        }
    }

    @Override
    public boolean trainable() {
        return scale.trainable();
    }

    @Override
    public boolean readsInput() {
        return false;
    }

    /** Refused: W has no place for a shift. */
    @Override
    public void merge(Weight weight) {
        throw new UnsupportedOperationException("ScaleShift.merge: " + shift.name()
                + " cannot become part of a weight; keep the adapter beside the model");
    }
}
