package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A small matrix that is a product of two trained ones, {@code product = left rightᵀ}: made when its parts change, and its
 * gradient handed on to them. All are in the dtype of masters.
 */
public final class FactoredMatrix implements DerivedMatrix {
    private final Parameter product;
    private final Parameter left;
    private final Parameter right;
    private final Weight rightWeight;

    /**
     * @param left [rows, r]
     * @param right [columns, r]
     */
    public FactoredMatrix(Scope scope, Parameter left, Parameter right) {
        this.left = left;
        this.right = right;
        this.rightWeight = scope.weight(right.value());
        Tensor value = left.value();
        this.product = new Parameter(
                left.name() + " times " + right.name(),
                scope.tensor(
                        Memory.ADAPTER,
                        value.dtype(),
                        value.size(0),
                        right.value().size(0)));
        if (left.trainable()) {
            product.train(scope);
        }
    }

    /** The product [rows, columns], with a gradient where its parts are trained. */
    public Parameter product() {
        return product;
    }

    @Override
    public void make(Context context) {
        Linear.forward(context, left.value(), rightWeight, null, false, product.value());
    }

    @Override
    public void zeroGradient() {
        product.zeroGradient();
    }

    @Override
    public void handOn(Context context) {
        if (product.trainable()) {
            Linear.backward(
                    context,
                    product.gradient(),
                    left.value(),
                    rightWeight,
                    true,
                    left.gradient(),
                    right.gradient(),
                    null);
        }
    }
}
