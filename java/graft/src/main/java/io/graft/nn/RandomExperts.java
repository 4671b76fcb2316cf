package io.graft.nn;

import io.graft.ops.Activation;
import io.graft.ops.RowScale;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.List;

/**
 * Networks at one projection of which each training pass takes a random A and a random B (AdaMix, arXiv 2205.12410,
 * section 2), and every other pass their averages: one network, at the cost of one.
 */
public final class RandomExperts implements Attachment {
    private final List<Parameter> downs;
    private final List<Parameter> ups;
    private final Bottleneck[][] pairs;
    private final Parameter down;
    private final Parameter up;
    private final Tensor[] shares;
    private final Bottleneck average;
    private final long key;
    private boolean stale = true;

    /**
     * @param downs A of each [size, in], or [size, out] behind the projection
     * @param ups B of each [out, size]
     * @param key what tells this projection's choices from those of its neighbours
     */
    public RandomExperts(
            Scope scope,
            List<Parameter> downs,
            List<Parameter> ups,
            Activation.Kind kind,
            boolean parallel,
            long key,
            SharedBuffers buffers) {
        this.downs = downs;
        this.ups = ups;
        this.key = key;
        down = like(scope, downs.get(0));
        up = like(scope, ups.get(0));
        shares = new Tensor[] {share(scope, down.value(), downs.size()), share(scope, up.value(), ups.size())};
        average = new Bottleneck(scope, down, up, kind, parallel, buffers);
        pairs = new Bottleneck[downs.size()][ups.size()];
        for (int a = 0; a < pairs.length; a++) {
            for (int b = 0; b < pairs[a].length; b++) {
                pairs[a][b] = new Bottleneck(scope, downs.get(a), ups.get(b), kind, parallel, buffers);
            }
        }
    }

    /** A place for the average. */
    private static Parameter like(Scope scope, Parameter of) {
        Tensor value =
                scope.tensor(Memory.ADAPTER, of.value().dtype(), of.value().shape());
        return new Parameter(of.name(), value);
    }

    private static Tensor share(Scope scope, Tensor of, int count) {
        Tensor share = scope.tensor(Memory.ADAPTER, Precision.accumulator(of.dtype()), of.size(0));
        TensorOps.fill(scope.context(), 1.0 / count, share);
        return share;
    }

    /** The mean of the masters, in their dtype. */
    private static void mean(Scope scope, List<Parameter> all, Tensor share, Tensor into) {
        Context context = scope.context();
        TensorOps.fill(context, 0, into);
        for (Parameter parameter : all) {
            TensorOps.add(context, parameter.best(), into);
        }
        RowScale.forward(context, into, share, into);
    }

    /** The average A [size, in] in the dtype of masters. */
    public Tensor averageDown(Scope scope) {
        return average(scope, downs, shares[0]);
    }

    /** The average B [out, size] in the dtype of masters. */
    public Tensor averageUp(Scope scope) {
        return average(scope, ups, shares[1]);
    }

    private static Tensor average(Scope scope, List<Parameter> all, Tensor share) {
        Tensor result =
                scope.tensor(Memory.ADAPTER, share.dtype(), all.get(0).value().shape());
        mean(scope, all, share, result);
        return result;
    }

    private Bottleneck chosen(Pass pass) {
        if (pass.training()) {
            int choice = Math.floorMod(pass.draw(key), downs.size() * ups.size());
            return pairs[choice / ups.size()][choice % ups.size()];
        }
        if (stale) {
            stale = false;
            try (Scope scope = down.value().scope().scope()) {
                TensorOps.copy(pass.context(), averageDown(scope), down.value());
                TensorOps.copy(pass.context(), averageUp(scope), up.value());
            }
        }
        return average;
    }

    @Override
    public int kept() {
        return average.kept();
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        chosen(pass).forward(pass, weight, x, accumulate, y, kept);
    }

    @Override
    public boolean takes(Tensor bias) {
        boolean taken = average.takes(bias);
        for (Bottleneck[] row : pairs) {
            for (Bottleneck pair : row) {
                pair.takes(bias);
            }
        }
        return taken;
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        chosen(pass).backward(pass, weight, dy, x, kept, accumulate, dx);
    }

    @Override
    public boolean trainable() {
        return downs.get(0).trainable();
    }

    @Override
    public boolean readsInput() {
        return pairs[0][0].readsInput();
    }

    @Override
    public void write(Weight weight) {
        stale = true;
    }

    @Override
    public void merge(Weight weight) {
        average.merge(weight);
    }
}
