package io.graft.nn;

import io.graft.ops.Ia3;
import io.graft.ops.Linear;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A trained scale and shift of a projection's outputs, {@code y = (x Wᵀ + bias) ⊙ γ + β}. The output before scaling is kept for
 * backward, since a scale may be zero.
 */
public final class ScaleShift implements Attachment {
    private final Parameter scale;
    private final Parameter shift;
    private final BiasRows shifts;
    private Tensor bias;

    /**
     * @param scale γ [out]
     * @param shift β [out]
     */
    public ScaleShift(Parameter scale, Parameter shift) {
        this.scale = scale;
        this.shift = shift;
        this.shifts = new BiasRows(shift.value());
    }

    @Override
    public int kept() {
        return trainable() ? (int) scale.value().size(0) : 0;
    }

    /** why β first: the product adds to what is there, so that a fresh layer has the base's bits. */
    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Context context = pass.context();
        shifts.put(context, accumulate, y);
        Ia3.forward(context, x, weight, null, scale.value(), bias, true, y, kept);
    }

    /** The bias is scaled too: what is scaled is the layer's output. */
    @Override
    public boolean takes(Tensor layerBias) {
        bias = layerBias;
        return true;
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
