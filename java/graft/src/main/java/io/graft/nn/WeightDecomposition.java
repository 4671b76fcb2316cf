package io.graft.nn;

import io.graft.ops.Dora;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * DoRA: the low-rank part turns the rows of W + scale · B A, and a trained magnitude gives them their length. The norms
 * are made when the parameters change, not in forward.
 *
 * @param low the low-rank part
 * @param magnitude m [out]
 * @param squared ‖w‖² of the base weight's rows [out]
 * @param norm ‖w + scale · b A‖ of its rows [out]
 */
public record WeightDecomposition(LowRank low, Parameter magnitude, Tensor squared, Tensor norm) implements Attachment {
    /** With the norms of the weight as it is now; {@code magnitude} may still be without values. */
    public static WeightDecomposition of(Scope scope, Weight weight, LowRank low, Parameter magnitude) {
        Tensor squared = vector(scope, weight);
        WeightDecomposition part = new WeightDecomposition(low, magnitude, squared, vector(scope, weight));
        Dora.squaredNorms(scope.context(), weight, squared);
        part.measure(weight);
        return part;
    }

    private static Tensor vector(Scope scope, Weight weight) {
        return scope.tensor(Memory.ADAPTER, Precision.accumulator(weight.dtype()), weight.n());
    }

    private void measure(Weight weight) {
        Dora.norms(context(weight), weight, squared, low.a().value(), low.b().value(), low.scale(), norm);
    }

    /** The layer's output before scaling, and S of the low-rank part. */
    @Override
    public int kept() {
        return (int) magnitude.value().size(0) + low.rank();
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Dora.forward(
                pass.context(),
                x,
                weight,
                low.a().value(),
                low.b().value(),
                low.scale(),
                magnitude.value(),
                norm,
                null,
                low.dropout(pass),
                low.seed(pass),
                pass.dropoutOffset(),
                accumulate,
                y,
                kept);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx != null || trainable()) {
            Dora.backward(
                    pass.context(),
                    dy,
                    x,
                    kept,
                    weight,
                    low.a().value(),
                    low.b().value(),
                    low.scale(),
                    magnitude.value(),
                    norm,
                    low.dropout(pass),
                    low.seed(pass),
                    pass.dropoutOffset(),
                    accumulate,
                    dx,
                    low.a().gradient(),
                    low.b().gradient(),
                    magnitude.gradient(),
                    null);
        }
    }

    @Override
    public boolean trainable() {
        return low.trainable() || magnitude.trainable();
    }

    @Override
    public boolean readsInput() {
        return low.readsInput();
    }

    @Override
    public void write(Weight weight) {
        low.write(weight);
        measure(weight);
    }

    @Override
    public void merge(Weight weight) {
        Dora.merge(
                context(weight),
                weight,
                low.a().value(),
                low.b().value(),
                low.scale(),
                magnitude.value(),
                norm,
                weight.matrix());
    }

    private static Context context(Weight weight) {
        return weight.matrix().scope().context();
    }
}
