package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A Kronecker product beside a projection, {@code y = x (W + scale · w1 ⊗ w2)ᵀ}, which is never made as a matrix. Backward
 * needs x and nothing else.
 */
public final class KroneckerProduct implements Attachment {
    private final FactoredMatrix first;
    private final KroneckerSum product;

    private KroneckerProduct(FactoredMatrix first, KroneckerSum product) {
        this.first = first;
        this.product = product;
    }

    /**
     * @param w1 [p, q]
     * @param b [out / p, r], or with a null [out / p, in / q]
     * @param a [r, in / q] or null: w2 is b a, or b; with one dimension more each, a sum of such products
     */
    public static KroneckerProduct of(Parameter w1, Parameter b, Parameter a, double scale) {
        return new KroneckerProduct(null, KroneckerSum.of(w1, b, a, scale));
    }

    /** The same with a first factor that is a product itself. */
    public static KroneckerProduct of(FactoredMatrix w1, Parameter b, Parameter a, double scale) {
        return new KroneckerProduct(w1, KroneckerSum.of(w1.product(), b, a, scale));
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Linear.forward(pass.context(), x, weight, null, accumulate, y);
        product.forward(pass.context(), x, true, y);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        Context context = pass.context();
        if (dx != null) {
            Linear.backward(context, dy, null, weight, accumulate, dx, null, null);
        }
        if (first != null) {
            first.zeroGradient();
        }
        product.backward(context, dy, x, true, dx);
        if (first != null) {
            first.handOn(context);
        }
    }

    @Override
    public boolean trainable() {
        return product.trainable();
    }

    @Override
    public void write(Weight weight) {
        if (first != null) {
            first.make(weight.scope().context());
        }
    }

    @Override
    public void merge(Weight weight) {
        product.merge(weight);
    }
}
