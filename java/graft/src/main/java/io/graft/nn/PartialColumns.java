package io.graft.nn;

import io.graft.ops.Paca;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Trained columns of a projection's weight: {@code W[:, I] = original + scale · D}. W itself holds the sum, so forward is
 * the plain layer; backward needs x[:, I] only.
 *
 * @param delta D [out, r]
 * @param indices I [r], different from each other
 * @param original the base model's columns [out, r], of W's dtype
 * @param scale alpha / r
 */
public record PartialColumns(Parameter delta, Tensor indices, Tensor original, double scale) implements Attachment {
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
    }

    @Override
    public boolean trainable() {
        return delta.trainable();
    }

    @Override
    public boolean readsInput() {
        return false;
    }

    @Override
    public void write(Weight weight) {
        Paca.write(weight.matrix().scope().context(), delta.value(), original, indices, scale, weight);
    }

    /** Gives the weight its original columns back, bit by bit; {@link #write} undoes it. */
    public void restore(Weight weight) {
        Paca.write(weight.matrix().scope().context(), null, original, indices, scale, weight);
    }

    /** W holds the trained columns already, unless they were taken out. */
    @Override
    public void merge(Weight weight) {
        write(weight);
    }
}
