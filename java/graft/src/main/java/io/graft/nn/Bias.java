package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A trained bias of a projection: {@code x Wᵀ + bias}. Backward needs nothing of the forward pass.
 *
 * @param bias [out]
 */
public record Bias(Parameter bias) implements Attachment {

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Linear.forward(pass.context(), x, weight, bias.value(), accumulate, y);
    }

    /** The trained bias stands in the place of the layer's own. */
    @Override
    public boolean takes(Tensor own) {
        return true;
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx != null || trainable()) {
            Linear.backward(pass.context(), dy, null, weight, accumulate, dx, null, bias.gradient());
        }
    }

    @Override
    public boolean trainable() {
        return bias.trainable();
    }

    @Override
    public boolean readsInput() {
        return false;
    }

    /** Refused: W has no place for a bias. */
    @Override
    public void merge(Weight weight) {
        throw new UnsupportedOperationException(
                "Bias.merge: " + bias.name() + " cannot become part of a weight; keep the adapter beside the model");
    }
}
