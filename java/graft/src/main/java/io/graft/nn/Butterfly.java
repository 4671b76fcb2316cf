package io.graft.nn;

import io.graft.ops.BlockDiagonal;
import io.graft.ops.Cayley;
import io.graft.ops.Ia3;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.ArrayList;
import java.util.List;

/**
 * A rotation of a projection's inputs that is a product of block-diagonal ones, each over another order of the columns, and a
 * scale for each output: {@code y = ((x R_m … R_1) Wᵀ) ⊙ s} (BOFT, arXiv 2311.06243, section 4). Kept is the layer's output
 * before the scales; backward makes the products with x again.
 */
public final class Butterfly implements Attachment {
    private static final long MERGED_ROWS = 256;

    private final Parameter matrices;
    private final Parameter scales;
    private final List<Factor> factors = new ArrayList<>();
    private final SharedBuffers buffers;
    private final Tensor scale;
    private final Tensor dscale;

    /**
     * One factor: R - I in blocks, and what it is made of.
     *
     * @param columns the blocks' order of the inputs, or null
     */
    private record Factor(Tensor matrices, Tensor gradient, Tensor blocks, Tensor dblocks, Tensor columns) {}

    /**
     * @param matrices [m, D, n, n], of which the skew-symmetric parts count
     * @param scales [out, 1]
     * @param orders of each factor's columns [in], null for the order that they are in
     * @param buffers for what lives shorter than a pass; the same for all projections of a model
     */
    public Butterfly(
            Scope scope,
            Parameter matrices,
            Parameter scales,
            List<Tensor> orders,
            SharedBuffers buffers,
            SharedGradients gradients) {
        this.matrices = matrices;
        this.scales = scales;
        this.buffers = buffers;
        long outputs = scales.value().size(0);
        scale = scales.value().reshape(outputs);
        dscale = scales.trainable() ? scales.gradient().reshape(outputs) : null;
        long count = matrices.value().size(1);
        long size = matrices.value().size(2);
        DType wide = matrices.value().dtype();
        Tensor dblocks = matrices.trainable()
                ? gradients.get("butterfly", wide, count * size, size).reshape(count, size, size)
                : null;
        for (int i = 0; i < orders.size(); i++) {
            factors.add(new Factor(
                    factor(matrices.value(), i),
                    matrices.trainable() ? factor(matrices.gradient(), i) : null,
                    scope.tensor(Memory.ADAPTER, wide, count, size, size),
                    dblocks,
                    orders.get(i)));
        }
    }

    private static Tensor factor(Tensor all, int i) {
        return all.rows(i, i + 1).reshape(all.size(1), all.size(2), all.size(3));
    }

    @Override
    public int kept() {
        return trainable() ? (int) scale.size(0) : 0;
    }

    /** x times all factors but the first {@code done}: the last one comes first. */
    private Tensor rotated(Context context, Tensor x, int done) {
        Tensor current = x;
        for (int i = factors.size() - 1; i >= done; i--) {
            Tensor next = buffers.get(x, x.size(1), SharedBuffers.Use.LAYER, i);
            BlockDiagonal.forward(
                    context, current, factors.get(i).blocks(), factors.get(i).columns(), next);
            current = next;
        }
        return current;
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Tensor input = rotated(pass.context(), x, 0);
        Ia3.forward(pass.context(), input, weight, null, scale, null, accumulate, y, kept);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx == null && !trainable()) {
            return;
        }
        Context context = pass.context();
        Tensor current = buffers.get(dy, weight.k(), SharedBuffers.Use.GRADIENT, 0);
        Ia3.backward(context, dy, null, kept, weight, null, scale, false, current, null, dscale, null);
        if (trainable()) {
            rotated(context, x, 1); // leaves the input of each factor but the last in a buffer
        }
        int last = factors.size() - 1;
        for (int i = 0; i <= last; i++) {
            Factor factor = factors.get(i);
            Tensor input = i == last ? x : buffers.get(dy, weight.k(), SharedBuffers.Use.LAYER, i + 1);
            Tensor next = i == last ? dx : buffers.get(dy, weight.k(), SharedBuffers.Use.GRADIENT, (i + 1) % 2);
            if (trainable()) {
                TensorOps.fill(context, 0, factor.dblocks());
            }
            BlockDiagonal.backward(
                    context,
                    current,
                    trainable() ? input : null,
                    factor.blocks(),
                    factor.columns(),
                    i == last && accumulate,
                    next,
                    factor.dblocks());
            if (trainable()) {
                Cayley.backward(context, factor.dblocks(), factor.matrices(), 0, factor.gradient());
            }
            current = next;
        }
    }

    @Override
    public boolean trainable() {
        return matrices.trainable();
    }

    @Override
    public void write(Weight weight) {
        Context context = weight.scope().context();
        for (int i = 0; i < factors.size(); i++) {
            Cayley.forward(context, factors.get(i).matrices(), 0, factors.get(i).blocks());
        }
    }

    /** diag(s) W Rᵀ, some rows at a time in the dtype of masters. */
    @Override
    public void merge(Weight weight) {
        Context context = weight.scope().context();
        for (long row = 0; row < weight.n(); row += MERGED_ROWS) {
            Tensor rows = weight.matrix().rows(row, Math.min(row + MERGED_ROWS, weight.n()));
            try (Scope scope = context.scope()) {
                Tensor current = scope.tensor(Memory.WORKSPACE, matrices.value().dtype(), rows.shape());
                TensorOps.copy(context, rows, current);
                for (Factor factor : factors) {
                    Tensor next = scope.tensor(Memory.WORKSPACE, current.dtype(), rows.shape());
                    BlockDiagonal.backward(
                            context, current, null, factor.blocks(), factor.columns(), false, next, null);
                    current = next;
                }
                TensorOps.copy(context, current, rows);
            }
        }
        Ia3.merge(context, weight, null, scale, weight.matrix());
    }

    @Override
    public String toString() {
        return "Butterfly[" + matrices.name() + ", " + scales.name() + "]";
    }
}
