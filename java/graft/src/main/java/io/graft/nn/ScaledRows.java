package io.graft.nn;

import io.graft.ops.RowScale;
import io.graft.tensor.Context;

/**
 * A matrix whose rows are scaled, {@code product = diag(scale) matrix}: made when its parts change, and its gradient
 * handed on to whichever of them is trained.
 */
public record ScaledRows(Parameter product, Parameter matrix, Parameter scale) implements DerivedMatrix {
    /** Gives the product a gradient where a part is trained. */
    public static ScaledRows of(Parameter product, Parameter matrix, Parameter scale) {
        if (matrix.trainable() || scale.trainable()) {
            product.train(product.value().scope());
        }
        return new ScaledRows(product, matrix, scale);
    }

    @Override
    public void make(Context context) {
        RowScale.forward(context, matrix.value(), scale.value(), product.value());
    }

    @Override
    public void zeroGradient() {
        product.zeroGradient();
    }

    @Override
    public void handOn(Context context) {
        if (product.trainable()) {
            RowScale.backward(
                    context, product.gradient(), matrix.value(), scale.value(), matrix.gradient(), scale.gradient());
        }
    }
}
