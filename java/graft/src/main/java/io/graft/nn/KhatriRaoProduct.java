package io.graft.nn;

import io.graft.ops.KhatriRao;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;

/**
 * All products of the rows, or of the columns, of two trained matrices: a factor of the low-rank product that LoHa's
 * {@code (B1 A1) ⊙ (B2 A2)} is.
 */
public record KhatriRaoProduct(Parameter product, Parameter u, Parameter v, boolean columns) implements DerivedMatrix {
    /** The product in a dtype of activations, with a gradient out of {@code gradients} where u is trained. */
    public static KhatriRaoProduct of(
            Scope scope, DType dtype, Parameter u, Parameter v, boolean columns, SharedGradients gradients) {
        long rows = columns ? u.value().size(0) : u.value().size(0) * v.value().size(0);
        long width = columns ? u.value().size(1) * v.value().size(1) : u.value().size(1);
        Parameter product =
                new Parameter(u.name() + " by " + v.name(), scope.tensor(Memory.ADAPTER, dtype, rows, width));
        if (u.trainable()) {
            product.withGradient(gradients.get(columns ? "columns" : "rows", dtype, rows, width));
        }
        return new KhatriRaoProduct(product, u, v, columns);
    }

    @Override
    public void make(Context context) {
        KhatriRao.forward(context, u.value(), v.value(), columns, product.value());
    }

    @Override
    public void zeroGradient() {
        product.zeroGradient();
    }

    @Override
    public void handOn(Context context) {
        if (product.trainable()) {
            KhatriRao.backward(context, product.gradient(), u.value(), v.value(), columns, u.gradient(), v.gradient());
        }
    }
}
