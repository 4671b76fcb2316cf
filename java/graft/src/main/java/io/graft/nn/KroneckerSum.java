package io.graft.nn;

import io.graft.ops.Kronecker;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A matrix {@code scale · Σ w1[m] ⊗ (b[m] a[m])} that is multiplied by and never made, with its trained factors: a
 * Kronecker product, a sum of them, or with a w1 of 1 a low-rank product.
 */
final class KroneckerSum implements TrainedMap {
    private final Tensor w1;
    private final Tensor dw1;
    private final Tensor b;
    private final Tensor db;
    private final Tensor a;
    private final Tensor da;
    private final double scale;

    private KroneckerSum(Tensor w1, Tensor dw1, Parameter b, Parameter a, double scale) {
        this.w1 = w1;
        this.dw1 = dw1;
        this.b = terms(b.value());
        this.db = terms(b.gradient());
        this.a = a == null ? null : terms(a.value());
        this.da = a == null ? null : terms(a.gradient());
        this.scale = scale;
    }

    /**
     * Factors that are a matrix each, or with three dimensions one for each term.
     *
     * @param a null where b is the whole second factor
     */
    static KroneckerSum of(Parameter w1, Parameter b, Parameter a, double scale) {
        return new KroneckerSum(terms(w1.value()), terms(w1.gradient()), b, a, scale);
    }

    /** {@code scale · b a}. */
    static KroneckerSum lowRank(Scope scope, Parameter b, Parameter a, double scale) {
        Tensor one = scope.tensor(Memory.ADAPTER, b.value().dtype(), 1, 1, 1).set(1f);
        return new KroneckerSum(one, null, b, a, scale);
    }

    private static Tensor terms(Tensor factor) {
        return factor == null || factor.rank() == 3 ? factor : factor.reshape(1, factor.size(0), factor.size(1));
    }

    @Override
    public int outputs() {
        return (int) (w1.size(1) * b.size(1));
    }

    @Override
    public void forward(Context context, Tensor x, boolean accumulate, Tensor y) {
        Kronecker.forward(context, x, w1, b, a, scale, accumulate, y);
    }

    @Override
    public void backward(Context context, Tensor dy, Tensor x, boolean accumulate, Tensor dx) {
        if (dx != null || trainable()) {
            Kronecker.backward(context, dy, trainable() ? x : null, w1, b, a, scale, accumulate, dx, dw1, db, da);
        }
    }

    @Override
    public boolean trainable() {
        return db != null;
    }

    void merge(Weight weight) {
        Kronecker.merge(weight.scope().context(), weight, w1, b, a, scale, weight.matrix());
    }
}
