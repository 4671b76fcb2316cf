package io.graft.nn;

import io.graft.ops.Random;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/**
 * Copies of a trained matrix below or beside each other, each under a random mask of its own that stays: what CapaBoost's
 * {@code Σ_i (B ⊙ N_i)(A ⊙ M_i)} is made of, as one product. No mask is stored; each is drawn again from its place in the
 * stream of {@link Random}. A kept element is 1 / keep times as large.
 */
public final class MaskedCopies implements DerivedMatrix {
    private final Parameter product;
    private final Parameter matrix;
    private final Tensor[] parts;
    private final Tensor[] partGradients;
    private final long seed;
    private final double keep;

    /**
     * @param beside whether the copies are side by side; else they are below each other
     * @param seed of the stream in which the masks follow each other
     * @param keep the share of elements that a mask leaves
     * @param gradients gives the product its gradient where the matrix is trained
     */
    public MaskedCopies(
            Scope scope,
            Parameter matrix,
            int copies,
            boolean beside,
            long seed,
            double keep,
            SharedGradients gradients) {
        this.matrix = matrix;
        this.seed = seed;
        this.keep = keep;
        Tensor value = matrix.value();
        long rows = beside ? value.size(0) : copies * value.size(0);
        long columns = beside ? copies * value.size(1) : value.size(1);
        product =
                new Parameter(matrix.name() + " in copies", scope.tensor(Memory.ADAPTER, value.dtype(), rows, columns));
        parts = parts(scope, product.value(), copies, beside);
        if (matrix.trainable()) {
            product.withGradient(gradients.get(beside ? "beside" : "below", value.dtype(), rows, columns));
        }
        partGradients = product.trainable() ? parts(scope, product.gradient(), copies, beside) : null;
    }

    private Tensor[] parts(Scope scope, Tensor whole, int copies, boolean beside) {
        long[] shape = matrix.value().shape();
        long step = beside ? shape[1] : shape[0] * whole.stride(0);
        Tensor[] views = new Tensor[copies];
        for (int i = 0; i < copies; i++) {
            views[i] = scope.view(whole, i * step, shape, new long[] {whole.stride(0), 1});
        }
        return views;
    }

    /** All copies, [copies · rows, columns] or [rows, copies · columns]. */
    public Parameter product() {
        return product;
    }

    @Override
    public void make(Context context) {
        for (int i = 0; i < parts.length; i++) {
            TensorOps.copy(context, matrix.value(), parts[i]);
            mask(context, i, parts[i]);
        }
    }

    private void mask(Context context, int copy, Tensor values) {
        Random.keep(context, seed, copy * matrix.value().elements(), keep, values);
    }

    @Override
    public void zeroGradient() {
        product.zeroGradient();
    }

    @Override
    public void handOn(Context context) {
        if (partGradients != null) {
            for (int i = 0; i < partGradients.length; i++) {
                mask(context, i, partGradients[i]);
                TensorOps.add(context, partGradients[i], matrix.gradient());
            }
        }
    }
}
