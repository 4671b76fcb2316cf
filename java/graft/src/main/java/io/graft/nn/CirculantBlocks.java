package io.graft.nn;

import io.graft.ops.Circulant;
import io.graft.ops.Linear;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A matrix of circulant blocks beside a projection, {@code y = x (W + scale · D)ᵀ} (C3A). Backward needs x and nothing else.
 *
 * @param kernel w [out / size, in / size, size]
 * @param scale what D is multiplied by
 */
public record CirculantBlocks(Parameter kernel, double scale) implements Attachment {

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Linear.forward(pass.context(), x, weight, null, accumulate, y);
        Circulant.forward(pass.context(), x, kernel.value(), scale, true, y);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        Context context = pass.context();
        if (dx != null) {
            Linear.backward(context, dy, null, weight, accumulate, dx, null, null);
        }
        if (dx != null || trainable()) {
            Circulant.backward(context, dy, trainable() ? x : null, kernel.value(), scale, true, dx, kernel.gradient());
        }
    }

    @Override
    public boolean trainable() {
        return kernel.trainable();
    }

    @Override
    public void merge(Weight weight) {
        Circulant.merge(weight.scope().context(), weight, kernel.value(), scale, weight.matrix());
    }
}
