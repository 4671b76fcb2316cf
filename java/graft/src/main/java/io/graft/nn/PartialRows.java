package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.Rows;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Trained rows of a projection's weight: {@code W[I, :] = original + D}. W itself holds the sum, so forward and dx are the
 * plain layer's; backward needs all of x.
 *
 * @param delta D [r, in]
 * @param indices I [r], different from each other
 * @param original the base model's rows [r, in], of W's dtype
 */
public record PartialRows(Parameter delta, Tensor indices, Tensor original) implements Attachment {

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Linear.forward(pass.context(), x, weight, null, accumulate, y);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx != null) {
            Linear.backward(pass.context(), dy, null, weight, accumulate, dx, null, null);
        }
        if (trainable()) {
            Rows.gradient(pass.context(), dy, x, indices, delta.gradient());
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
        Rows.write(weight.matrix().scope().context(), delta.value(), original, indices, weight);
    }

    /** Gives the weight its original rows back, bit by bit; {@link #write} undoes it. */
    public void restore(Weight weight) {
        Rows.write(weight.matrix().scope().context(), null, original, indices, weight);
    }

    /** W holds the trained rows already, unless they were taken out. */
    @Override
    public void merge(Weight weight) {
        write(weight);
    }
}
