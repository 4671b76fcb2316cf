package io.graft.nn;

import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/** A vector [out] as every row of a matrix [T, out], put where a product is to be added. */
final class BiasRows {
    private final Tensor vector;
    private Scope views;
    private Tensor rows;

    BiasRows(Tensor vector) {
        this.vector = vector;
    }

    /** y = the vector, or y += it; a product then adds to y. */
    void put(Context context, boolean accumulate, Tensor y) {
        if (accumulate) {
            TensorOps.add(context, rows(y.size(0)), y);
        } else {
            TensorOps.copy(context, rows(y.size(0)), y);
        }
    }

    /** why: batches come in the same shape again; a view made once leaves no garbage. */
    private Tensor rows(long count) {
        if (rows == null || rows.size(0) != count) {
            if (views != null) {
                views.close();
            }
            views = vector.scope().scope();
            rows = views.view(vector, 0, new long[] {count, vector.size(0)}, new long[] {0, 1});
        }
        return rows;
    }
}
