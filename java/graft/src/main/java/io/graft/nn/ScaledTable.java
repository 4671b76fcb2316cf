package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.RowScale;
import io.graft.ops.Sketch;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A trained scale for each table of a sketch, the scale of a group of quantised weights (PEQA): the weight refers to the
 * scaled tables, so that forward is the plain layer's, and backward sums the tables' gradient once more.
 */
public final class ScaledTable implements Attachment {
    private final Parameter scales;
    /** The tables' gradient, as the tables and as rows. */
    private final Tensor dtable;

    private final Tensor drows;
    private final Tensor scaled;
    private final Tensor original;
    private final Tensor scale;
    private final Tensor dscale;

    /**
     * @param scales [out, groups]
     * @param table of the projection [out, groups, entries]
     */
    public ScaledTable(Scope scope, Parameter scales, Tensor table, SharedGradients gradients) {
        this.scales = scales;
        long rows = table.size(0) * table.size(1);
        long entries = table.size(2);
        scaled = table.reshape(rows, entries);
        original = scope.tensor(Memory.BASE, table.dtype(), rows, entries);
        TensorOps.copy(scope.context(), scaled, original);
        scale = scales.value().reshape(rows);
        dscale = scales.trainable() ? scales.gradient().reshape(rows) : null;
        drows = scales.trainable() ? gradients.get("table", table.dtype(), rows, entries) : null;
        dtable = drows == null ? null : drows.reshape(table.shape());
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Linear.forward(pass.context(), x, weight, null, accumulate, y);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        Context context = pass.context();
        if (dtable != null) {
            TensorOps.fill(context, 0, dtable);
            Sketch.tableGradient(context, dy, x, weight, dtable);
            RowScale.backward(context, drows, original, scale, null, dscale);
        }
        if (dx != null) {
            Linear.backward(context, dy, null, weight, accumulate, dx, null, null);
        }
    }

    @Override
    public boolean trainable() {
        return scales.trainable();
    }

    @Override
    public boolean removable() {
        return false;
    }

    @Override
    public boolean readsInput() {
        return scales.trainable();
    }

    @Override
    public void write(Weight weight) {
        RowScale.forward(weight.scope().context(), original, scale, scaled);
    }

    /** The tables hold the scales already. */
    @Override
    public void merge(Weight weight) {}
}
