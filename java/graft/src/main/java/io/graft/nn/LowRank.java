package io.graft.nn;

import io.graft.ops.LoraLinear;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * The low-rank part of a projection: {@code scale · drop(x) Aᵀ Bᵀ} with A [r, in] and B [out, r].
 *
 * @param a the down-projection
 * @param b the up-projection
 * @param scale alpha / r, or alpha / √r
 * @param dropout probability that an input of A is dropped in training
 * @param dropoutKey what tells this projection's dropout masks from those of its neighbours
 */
public record LowRank(Parameter a, Parameter b, double scale, double dropout, long dropoutKey) implements Attachment {
    public int rank() {
        return (int) a.value().size(0);
    }

    /** S = drop(x) Aᵀ. */
    @Override
    public int kept() {
        return rank();
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        LoraLinear.forward(
                pass.context(),
                x,
                weight,
                a.value(),
                b.value(),
                scale,
                null,
                dropout(pass),
                seed(pass),
                pass.dropoutOffset(),
                accumulate,
                y,
                kept);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        Tensor da = a.gradient();
        Tensor db = b.gradient();
        if (dx != null || da != null || db != null) {
            LoraLinear.backward(
                    pass.context(),
                    dy,
                    x,
                    kept,
                    weight,
                    a.value(),
                    b.value(),
                    scale,
                    dropout(pass),
                    seed(pass),
                    pass.dropoutOffset(),
                    accumulate,
                    dx,
                    da,
                    db,
                    null);
        }
    }

    double dropout(Pass pass) {
        return pass.training() ? dropout : 0;
    }

    long seed(Pass pass) {
        return pass.dropoutSeed() ^ dropoutKey;
    }

    @Override
    public boolean trainable() {
        return a.trainable() || b.trainable();
    }

    @Override
    public boolean readsInput() {
        return a.trainable();
    }

    /** Copies A and scale · B into the weight's border, where it has one. */
    @Override
    public void write(Weight weight) {
        if (weight.border() >= rank()) {
            LoraLinear.pack(context(weight), a.value(), b.value(), scale, weight);
        }
    }

    @Override
    public void merge(Weight weight) {
        LoraLinear.merge(context(weight), weight, a.value(), b.value(), scale, weight.matrix());
    }

    private static Context context(Weight weight) {
        return weight.matrix().scope().context();
    }
}
