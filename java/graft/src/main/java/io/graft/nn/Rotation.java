package io.graft.nn;

import io.graft.ops.BlockDiagonal;
import io.graft.ops.Cayley;
import io.graft.ops.Linear;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A rotation of a projection's inputs in blocks, {@code y = (x R) Wᵀ} with {@code R = diag(R_1 … R_D)}: made from the
 * entries of skew-symmetric matrices when these change. Backward needs x and nothing else.
 */
public final class Rotation implements Attachment {
    private static final long MERGED_ROWS = 256;

    private final Parameter entries;
    private final int terms;
    private final SharedBuffers buffers;
    /** R - I [D, n, n]. */
    private final Tensor blocks;

    private final Tensor gradient;

    /**
     * @param entries q [D, n·(n-1)/2], or [1, n·(n-1)/2] where all blocks are the same
     * @param size n
     * @param terms of Cayley's series; 0 for the exact transform
     * @param buffers for what lives shorter than a pass; the same for all projections of a model
     */
    public Rotation(
            Scope scope, Parameter entries, int size, int terms, SharedBuffers buffers, SharedGradients gradients) {
        this.entries = entries;
        this.terms = terms;
        this.buffers = buffers;
        long count = entries.value().size(0);
        DType wide = entries.value().dtype();
        this.blocks = scope.tensor(Memory.ADAPTER, wide, count, size, size);
        this.gradient = entries.trainable()
                ? gradients.get("rotation", wide, count * size, size).reshape(count, size, size)
                : null;
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Tensor rotated = buffers.get(x, weight.k(), SharedBuffers.Use.LAYER);
        BlockDiagonal.forward(pass.context(), x, blocks, null, rotated);
        Linear.forward(pass.context(), rotated, weight, null, accumulate, y);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx == null && !trainable()) {
            return;
        }
        Context context = pass.context();
        Tensor drotated = buffers.get(dy, weight.k(), SharedBuffers.Use.LAYER);
        Linear.backward(context, dy, null, weight, false, drotated, null, null);
        if (gradient != null) {
            TensorOps.fill(context, 0, gradient);
        }
        BlockDiagonal.backward(context, drotated, trainable() ? x : null, blocks, null, accumulate, dx, gradient);
        if (gradient != null) {
            Cayley.backward(context, gradient, entries.value(), terms, entries.gradient());
        }
    }

    @Override
    public boolean trainable() {
        return entries.trainable();
    }

    @Override
    public void write(Weight weight) {
        Cayley.forward(weight.scope().context(), entries.value(), terms, blocks);
    }

    /** W Rᵀ, some rows at a time in the dtype of masters. */
    @Override
    public void merge(Weight weight) {
        Tensor matrix = weight.matrix();
        Context context = weight.scope().context();
        for (long row = 0; row < weight.n(); row += MERGED_ROWS) {
            try (Scope scope = context.scope()) {
                Tensor rows = matrix.rows(row, Math.min(row + MERGED_ROWS, weight.n()));
                Tensor before = scope.tensor(Memory.WORKSPACE, blocks.dtype(), rows.shape());
                Tensor after = scope.tensor(Memory.WORKSPACE, blocks.dtype(), rows.shape());
                TensorOps.copy(context, rows, before);
                BlockDiagonal.backward(context, before, null, blocks, null, false, after, null);
                TensorOps.copy(context, after, rows);
            }
        }
    }
}
