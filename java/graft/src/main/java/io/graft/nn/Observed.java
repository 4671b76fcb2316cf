package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.RowScale;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.Arrays;

/**
 * A frozen layer as it is, while its inputs or the gradient of its weight are gathered: what some adapters look at before
 * they are trained. Rows of padding count in no sum.
 */
public final class Observed implements Attachment {
    /**
     * Sums over all inputs x of a layer, in the dtype of masters.
     *
     * @param products Σ xᵀx [in, in]
     * @param sums Σ x [in]; null: not wanted, and each sequence's inputs are divided by |their largest| first
     * @param like a weight [in, in] of the same dtype, which is not read
     */
    public record Inputs(Tensor products, Tensor sums, Weight like) {}

    /** A layer of which nothing is gathered yet. */
    public static final Observed NOTHING = new Observed(null, null);

    private final Inputs inputs;
    private final Tensor gradient;
    private long rows;
    private long sequences;

    private Observed(Inputs inputs, Tensor gradient) {
        this.inputs = inputs;
        this.gradient = gradient;
    }

    public static Observed inputs(Inputs wanted) {
        return new Observed(wanted, null);
    }

    /** gradient [out, in] in the dtype of masters: the sum over all backward passes. */
    public static Observed gradient(Tensor gradient) {
        return new Observed(null, gradient);
    }

    /** Inputs that were summed. */
    public long rows() {
        return rows;
    }

    /** Sequences that they came from. */
    public long sequences() {
        return sequences;
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        if (inputs != null) {
            for (int i = 0; i < pass.batch(); i++) {
                gather(pass.context(), x, (long) i * pass.length(), pass.real(i));
            }
        }
        Linear.forward(pass.context(), x, weight, null, accumulate, y);
    }

    /** why backward: a weight's gradient dyᵀ x is xᵀ x where dy is x, and its bias's the sum. */
    private void gather(Context context, Tensor x, long first, long count) {
        if (count == 0) {
            return;
        }
        try (Scope scope = context.scope()) {
            Tensor part = scope.view(x, first * x.stride(0), new long[] {count, x.size(1)}, x.strides());
            Tensor wide = scope.tensor(Memory.WORKSPACE, inputs.products().dtype(), part.shape());
            TensorOps.copy(context, part, wide);
            Tensor other = inputs.sums() == null ? scaled(scope, wide) : wide;
            Linear.backward(context, wide, other, inputs.like(), false, null, inputs.products(), inputs.sums());
        }
        rows += count;
        sequences++;
    }

    /** x / max². */
    private static Tensor scaled(Scope scope, Tensor x) {
        double largest = Arrays.stream(x.doubles()).max().orElse(0);
        Tensor factors = scope.tensor(Memory.WORKSPACE, x.dtype(), x.size(0));
        TensorOps.fill(scope.context(), largest == 0 ? 0 : 1 / (largest * largest), factors);
        Tensor y = scope.tensor(Memory.WORKSPACE, x.dtype(), x.shape());
        RowScale.forward(scope.context(), x, factors, y);
        return y;
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx != null || gradient != null) {
            Linear.backward(pass.context(), dy, x, weight, accumulate, dx, gradient, null);
        }
    }

    @Override
    public boolean trainable() {
        return gradient != null;
    }

    @Override
    public boolean readsInput() {
        return gradient != null;
    }

    @Override
    public void merge(Weight weight) {}
}
