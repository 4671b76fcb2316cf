package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.Sketch;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * The trained table of a sketch: forward is the plain layer, since the weight refers to the table itself, and backward
 * sums the gradient by code, which never exists as a matrix.
 *
 * @param table [out, groups, entries], in the dtype of masters
 */
public record TrainedTable(Parameter table) implements Attachment {

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Linear.forward(pass.context(), x, weight, null, accumulate, y);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (trainable()) {
            Sketch.tableGradient(pass.context(), dy, x, weight, table.gradient());
        }
        if (dx != null) {
            Linear.backward(pass.context(), dy, null, weight, accumulate, dx, null, null);
        }
    }

    @Override
    public boolean trainable() {
        return table.trainable();
    }

    @Override
    public boolean removable() {
        return false;
    }

    @Override
    public boolean readsInput() {
        return table.trainable();
    }

    @Override
    public void merge(Weight weight) {}
}
