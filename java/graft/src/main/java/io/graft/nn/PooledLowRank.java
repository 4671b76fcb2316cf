package io.graft.nn;

import io.graft.ops.GroupSum;
import io.graft.ops.Linear;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A low-rank part that sees sums of groups of g inputs, {@code y = x Wᵀ + scale · pool(x) Aᵀ Bᵀ} (QA-LoRA, arXiv
 * 2309.14717, section 3.3): its change of W is the same in all columns of a group, so that the tables of a sketch can hold
 * it. Kept is pool(x) [T, in/g], not x. pool(x) is the mean times the number of groups, as in PEFT.
 */
public final class PooledLowRank implements Attachment {
    private static final long MERGED_ROWS = 256;

    private final Parameter a;
    private final Parameter b;
    private final Tensor table;
    private final KroneckerSum product;
    private final SharedBuffers buffers;
    private final double pooling;

    /**
     * @param a [r, in/g]
     * @param b [out, r]
     * @param group g
     * @param table of the projection, where it is a sketch
     * @param buffers for what lives shorter than a pass; the same for all projections of a model
     */
    public PooledLowRank(
            Scope scope, Parameter a, Parameter b, double scale, int group, Tensor table, SharedBuffers buffers) {
        this.a = a;
        this.b = b;
        this.table = table;
        this.product = KroneckerSum.lowRank(scope, b, a, scale);
        this.buffers = buffers;
        this.pooling = (double) a.value().size(1) / group;
    }

    private long groups() {
        return a.value().size(1);
    }

    @Override
    public int kept() {
        return (int) groups();
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Context context = pass.context();
        Tensor pooled = kept == null ? buffers.get(x, groups(), SharedBuffers.Use.INNER) : kept;
        Linear.forward(context, x, weight, null, accumulate, y);
        GroupSum.forward(context, x, pooling, pooled);
        product.forward(context, pooled, true, y);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        Context context = pass.context();
        Tensor dpooled = dx == null ? null : buffers.get(dy, groups(), SharedBuffers.Use.INNER);
        product.backward(context, dy, kept, false, dpooled);
        if (dx != null) {
            Linear.backward(context, dy, null, weight, accumulate, dx, null, null);
            GroupSum.backward(context, dpooled, pooling, true, dx);
        }
    }

    @Override
    public boolean trainable() {
        return product.trainable();
    }

    @Override
    public boolean readsInput() {
        return false;
    }

    /** Into a dense W, or into the tables of a sketch where each has whole groups' worth of equal changes. */
    @Override
    public void merge(Weight weight) {
        if (weight.kind() == Weight.Kind.NF4) {
            throw new UnsupportedOperationException("PooledLowRank.merge: the codes of NF4 around " + a.name()
                    + " have no zero points to move; merge over a dense base or over sketches");
        }
        Context context = weight.scope().context();
        try (Scope scope = context.scope()) {
            DType wide = a.value().dtype();
            Weight change = scope.weight(Memory.WORKSPACE, wide, weight.n(), groups(), 0);
            product.merge(change);
            if (weight.kind() == Weight.Kind.SKETCH) {
                mergeTables(scope, weight, change.matrix());
                return;
            }
            for (long row = 0; row < weight.n(); row += MERGED_ROWS) {
                long end = Math.min(row + MERGED_ROWS, weight.n());
                mergeRows(scope, weight.matrix().rows(row, end), change.matrix().rows(row, end));
            }
        }
    }

    private void mergeRows(Scope parent, Tensor rows, Tensor change) {
        Context context = parent.context();
        try (Scope scope = parent.scope()) {
            Tensor sum = scope.tensor(Memory.WORKSPACE, change.dtype(), rows.shape());
            TensorOps.copy(context, rows, sum);
            GroupSum.backward(context, change, pooling, true, sum);
            TensorOps.copy(context, sum, rows);
        }
    }

    /** A change of all weights of a table is a change of all its entries. */
    private void mergeTables(Scope scope, Weight weight, Tensor change) {
        Context context = scope.context();
        long tables = table.size(1);
        if (tables % groups() != 0) {
            throw new UnsupportedOperationException("PooledLowRank.merge: a table of " + a.name() + " has "
                    + weight.k() / tables + " columns, which are not all in one group of " + weight.k() / groups());
        }
        Tensor each = scope.tensor(Memory.WORKSPACE, table.dtype(), weight.n(), tables);
        GroupSum.backward(context, change, 1, false, each);
        GroupSum.backward(context, each, pooling, true, table.reshape(weight.n(), tables * table.size(2)));
    }

    @Override
    public String toString() {
        return "PooledLowRank[" + a.name() + ", " + b.name() + "]";
    }
}
