package io.graft.nn;

import io.graft.ops.Activation;
import io.graft.ops.Linear;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A projection's weight seen through a trained matrix, {@code H = f(W D)} [out, r]: the up-projection of an adapter that is
 * applied to the weight instead of the activations (HiWi). It is made when D changes, so that it costs what r tokens do.
 */
public final class AdaptedWeight implements DerivedMatrix {
    private final Parameter down;
    private final Parameter product;
    private final Weight weight;
    private final Activation.Kind kind;
    /** Hᵀ [r, out], its gradient, and D's [r, in], in the compute dtype. */
    private final Tensor turned;

    private final Tensor dturned;
    private final Tensor narrow;
    private final Tensor ddown;

    /**
     * @param down Dᵀ [r, in], in the compute dtype beside its master
     * @param weight W, in any form
     */
    public AdaptedWeight(Scope scope, Parameter down, Weight weight, Activation.Kind kind, SharedGradients gradients) {
        this.down = down;
        this.weight = weight;
        this.kind = kind;
        DType dtype = down.value().dtype();
        long rank = down.value().size(0);
        turned = scope.tensor(Memory.ADAPTER, dtype, rank, weight.n());
        product = new Parameter(
                "weight adapted by " + down.name(), scope.tensor(Memory.ADAPTER, dtype, weight.n(), rank));
        if (down.trainable()) {
            product.withGradient(gradients.get("adapted weight", dtype, weight.n(), rank));
            narrow = gradients.scratch("adapted weight, narrow", dtype, weight.n(), rank);
            dturned = gradients.scratch("adapted weight, turned", dtype, rank, weight.n());
            ddown = gradients.scratch("adapting matrix", dtype, rank, weight.k());
        } else {
            narrow = dturned = ddown = null;
        }
    }

    /** H [out, r]. */
    public Parameter product() {
        return product;
    }

    @Override
    public void make(Context context) {
        Linear.forward(context, down.value(), weight, null, false, turned);
        Activation.forward(context, kind, turned, turned);
        TensorOps.transpose(context, turned, product.value());
    }

    @Override
    public void zeroGradient() {
        product.zeroGradient();
    }

    @Override
    public void handOn(Context context) {
        if (product.trainable()) {
            TensorOps.copy(context, product.gradient(), narrow);
            TensorOps.transpose(context, narrow, dturned);
            Activation.backward(context, kind, dturned, turned, dturned);
            Linear.backward(context, dturned, null, weight, false, ddown, null, null);
            TensorOps.add(context, ddown, down.gradient());
        }
    }
}
