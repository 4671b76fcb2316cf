package io.graft.nn;

import io.graft.ops.Kronecker;
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
    private final double scale;
    private final Factor w1Factor;
    private final Factor bFactor;
    private final Factor aFactor;

    /** A factor as the op wants it: the only term of a sum. */
    private record Factor(Tensor value, Tensor gradient) {
        static Factor of(Parameter parameter) {
            return parameter == null
                    ? new Factor(null, null)
                    : new Factor(only(parameter.value()), only(parameter.gradient()));
        }

        private static Tensor only(Tensor matrix) {
            return matrix == null ? null : matrix.reshape(1, matrix.size(0), matrix.size(1));
        }
    }

    private KroneckerProduct(Parameter w1, FactoredMatrix first, Parameter b, Parameter a, double scale) {
        this.first = first;
        this.scale = scale;
        this.w1Factor = Factor.of(w1);
        this.bFactor = Factor.of(b);
        this.aFactor = Factor.of(a);
    }

    /**
     * @param w1 [p, q]
     * @param b [out / p, r], or with a null [out / p, in / q]
     * @param a [r, in / q] or null: w2 is b a, or b
     */
    public static KroneckerProduct of(Parameter w1, Parameter b, Parameter a, double scale) {
        return new KroneckerProduct(w1, null, b, a, scale);
    }

    /** The same with a first factor that is a product itself. */
    public static KroneckerProduct of(FactoredMatrix w1, Parameter b, Parameter a, double scale) {
        return new KroneckerProduct(w1.product(), w1, b, a, scale);
    }

    @Override
    public int kept() {
        return 0;
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Linear.forward(pass.context(), x, weight, null, accumulate, y);
        Kronecker.forward(pass.context(), x, w1Factor.value, bFactor.value, aFactor.value, scale, true, y);
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
        if (dx != null || trainable()) {
            Kronecker.backward(
                    context,
                    dy,
                    trainable() ? x : null,
                    w1Factor.value,
                    bFactor.value,
                    aFactor.value,
                    scale,
                    true,
                    dx,
                    w1Factor.gradient,
                    bFactor.gradient,
                    aFactor.gradient);
        }
        if (first != null) {
            first.handOn(context);
        }
    }

    @Override
    public boolean trainable() {
        return bFactor.gradient != null;
    }

    @Override
    public boolean readsInput() {
        return trainable();
    }

    @Override
    public void write(Weight weight) {
        if (first != null) {
            first.make(weight.scope().context());
        }
    }

    @Override
    public void merge(Weight weight) {
        Kronecker.merge(
                weight.scope().context(), weight, w1Factor.value, bFactor.value, aFactor.value, scale, weight.matrix());
    }
}
