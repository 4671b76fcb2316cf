package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Instead of a layer's output, what its inputs are like: {@code h += xᵀ x}. Layers that nobody asks for are left out the
 * same way, with no h; what they would have written is then undefined.
 *
 * @param h [in, in], in fp32; null: not wanted
 * @param like a weight [in, in] of x's dtype, which is not read
 */
public record Calibration(Tensor h, Weight like) implements Attachment {
    /** A layer that is left out. */
    public static final Calibration NONE = new Calibration(null, null);

    /** why backward: a weight's gradient dyᵀ x is xᵀ x where dy is x. */
    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        if (h != null) {
            Linear.backward(pass.context(), x, x, like, false, null, h, null);
        }
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        throw new UnsupportedOperationException("Calibration has no backward");
    }

    @Override
    public boolean trainable() {
        return false;
    }

    @Override
    public boolean readsInput() {
        return false;
    }

    @Override
    public void merge(Weight weight) {}
}
