package io.graft.nn;

import io.graft.ops.Ia3;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Trained scales of a projection, of its inputs {@code (x ⊙ l) Wᵀ} or of its outputs {@code (x Wᵀ + bias) ⊙ l}. For inputs
 * nothing is kept beside x; for outputs the layer's own result, since a scale may be zero.
 */
public final class Rescale implements Attachment {
    private final Parameter scales;
    private final boolean inputs;
    private final Tensor value;
    private final Tensor gradient;
    private Tensor bias;

    /** @param scales l, of as many elements as the projection has inputs or outputs, in any shape */
    public Rescale(Parameter scales, boolean inputs) {
        this.scales = scales;
        this.inputs = inputs;
        this.value = vector(scales.value());
        this.gradient = scales.trainable() ? vector(scales.gradient()) : null;
    }

    private static Tensor vector(Tensor tensor) {
        return tensor.reshape(tensor.elements());
    }

    @Override
    public int kept() {
        return trainable() && !inputs ? (int) value.size(0) : 0;
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Ia3.forward(pass.context(), x, weight, in(value), out(value), bias, accumulate, y, kept);
    }

    @Override
    public boolean takes(Tensor layerBias) {
        bias = inputs ? null : layerBias;
        return !inputs;
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx != null || trainable()) {
            Ia3.backward(
                    pass.context(),
                    dy,
                    readsInput() ? x : null,
                    kept,
                    weight,
                    in(value),
                    out(value),
                    accumulate,
                    dx,
                    in(gradient),
                    out(gradient),
                    null);
        }
    }

    private Tensor in(Tensor tensor) {
        return inputs ? tensor : null;
    }

    private Tensor out(Tensor tensor) {
        return inputs ? null : tensor;
    }

    @Override
    public boolean trainable() {
        return scales.trainable();
    }

    @Override
    public boolean readsInput() {
        return trainable() && inputs;
    }

    @Override
    public void merge(Weight weight) {
        Ia3.merge(weight.matrix().scope().context(), weight, in(value), out(value), weight.matrix());
        if (bias != null) {
            try (Scope scope = bias.scope().context().scope()) {
                Weight column = scope.weight(bias.reshape(bias.size(0), 1));
                Ia3.merge(scope.context(), column, null, value, column.matrix());
            }
        }
    }
}
