package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.Paca;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Trained columns beside a projection's weight, which stays as it is: {@code y = x Wᵀ + scale · x[:, I] Dᵀ}. For weights
 * that have no columns to write into, such as NF4 (QPaCA).
 */
public final class ColumnSlab implements TrainedColumns {
    private final Parameter delta;
    private final Tensor indices;
    private final double scale;
    private boolean enabled = true;

    /**
     * @param delta D [out, r]
     * @param indices I [r]
     * @param scale alpha / r
     */
    public ColumnSlab(Parameter delta, Tensor indices, double scale) {
        this.delta = delta;
        this.indices = indices;
        this.scale = scale;
    }

    @Override
    public Parameter delta() {
        return delta;
    }

    @Override
    public Tensor indices() {
        return indices;
    }

    @Override
    public double scale() {
        return scale;
    }

    /** Whether the layer has the columns; without them it is the base model's. */
    public void enable(boolean on) {
        enabled = on;
    }

    /** x[:, I]. */
    @Override
    public int kept() {
        return (int) indices.size(0);
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        if (enabled) {
            Tensor keep = trainable() ? kept : null;
            Paca.slabForward(pass.context(), x, weight, indices, delta.value(), scale, null, accumulate, y, keep);
        } else {
            Linear.forward(pass.context(), x, weight, null, accumulate, y);
        }
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (!enabled) {
            throw new IllegalStateException("backward through trained columns that are disabled");
        }
        if (dx != null || trainable()) {
            Paca.slabBackward(
                    pass.context(),
                    dy,
                    kept,
                    weight,
                    indices,
                    delta.value(),
                    scale,
                    accumulate,
                    dx,
                    delta.gradient(),
                    null);
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
    public void merge(Weight weight) {
        throw new UnsupportedOperationException("merge: " + weight + " has no columns to write into");
    }
}
