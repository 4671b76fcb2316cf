package io.graft.nn;

import io.graft.ops.Activation;
import io.graft.ops.Linear;
import io.graft.ops.Mixture;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.List;

/**
 * Attention over frozen networks behind a projection: {@code y = z + (Σ_i s_i n_i) Vᵀ} with z = x Wᵀ, the networks'
 * results {@code n_i = f_i(z A_iᵀ) B_iᵀ} and, for each row, s = softmax of {@code (z Qᵀ) · (n_i Kᵀ)}. The scores are made as
 * {@code (z Qᵀ K) · n_i} and V is applied to the sum, so that the trained products run once and not once for each network.
 * Kept are z, f's results, z Qᵀ, z Qᵀ K and s; the n_i are made again.
 */
public final class Fusion implements Attachment {
    /** A network that is read only: A [size, out], B [out, size]. */
    public record Network(Tensor down, Tensor up, Activation.Kind function) {}

    private final List<Network> networks;
    private final Weight[] downs;
    private final Weight[] ups;
    private final Parameter query;
    private final Parameter key;
    private final Parameter value;
    private final Weight queryWeight;
    private final Weight keyWeight;
    private final Weight valueWeight;
    private final SharedBuffers buffers;
    private final int width;
    private final int sizes;
    private final Tensor[] inner;
    private Tensor bias;
    private Tensor lastKept;
    private Tensor layer;
    private Tensor queries;
    private Tensor keyed;
    private Tensor scores;
    private final Tensor[] results;
    private final Tensor[] gradients;
    private Tensor lastResults;
    private Tensor lastGradients;

    /**
     * @param networks at least two
     * @param query Q, with K and V each [out, out]
     */
    public Fusion(
            Scope scope,
            List<Network> networks,
            Parameter query,
            Parameter key,
            Parameter value,
            SharedBuffers buffers) {
        this.networks = networks;
        this.query = query;
        this.key = key;
        this.value = value;
        this.buffers = buffers;
        width = (int) value.value().size(0);
        int count = networks.size();
        downs = new Weight[count];
        ups = new Weight[count];
        inner = new Tensor[count];
        results = new Tensor[count];
        gradients = new Tensor[count];
        int sum = 0;
        for (int i = 0; i < count; i++) {
            downs[i] = scope.weight(networks.get(i).down());
            ups[i] = scope.weight(networks.get(i).up());
            sum += (int) downs[i].n();
        }
        sizes = sum;
        queryWeight = scope.weight(query.value());
        keyWeight = scope.weight(key.value());
        valueWeight = scope.weight(value.value());
    }

    @Override
    public int kept() {
        return 3 * width + sizes + networks.size();
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Context context = pass.context();
        split(kept == null ? buffers.get(y, kept(), SharedBuffers.Use.KEPT) : kept);
        Linear.forward(context, x, weight, bias, false, layer);
        if (accumulate) {
            TensorOps.add(context, layer, y);
        } else {
            TensorOps.copy(context, layer, y);
        }
        for (int i = 0; i < inner.length; i++) {
            Linear.forward(context, layer, downs[i], null, false, inner[i]);
            Activation.forward(context, networks.get(i).function(), inner[i], inner[i]);
        }
        Tensor all = results(context, y);
        Linear.forward(context, layer, queryWeight, null, false, queries);
        Linear.backward(context, queries, null, keyWeight, false, keyed, null, null); // queries K
        Mixture.combineBackward(context, keyed, all, null, false, null, scores);
        Mixture.routeForward(context, scores, inner.length, false, scores);
        Tensor mixed = buffers.get(y, width, SharedBuffers.Use.INNER);
        Mixture.combineForward(context, all, scores, mixed);
        Linear.forward(context, mixed, valueWeight, null, true, y);
    }

    @Override
    public boolean takes(Tensor layerBias) {
        bias = layerBias;
        return true;
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx == null && !trainable()) {
            return;
        }
        Context context = pass.context();
        split(kept);
        Tensor all = results(context, dy);
        Tensor gradient = buffers.get(dy, width, SharedBuffers.Use.LAYER);
        Tensor narrow = buffers.get(dy, width, SharedBuffers.Use.GRADIENT);
        Tensor mixed = buffers.get(dy, width, SharedBuffers.Use.INNER);
        Tensor dscores = buffers.get(dy, networks.size(), SharedBuffers.Use.GRADIENT);
        Tensor dall = buffers.get(dy, all.size(1), SharedBuffers.Use.KEPT);
        TensorOps.copy(context, dy, gradient);
        Mixture.combineForward(context, all, scores, mixed);
        Linear.backward(context, dy, mixed, valueWeight, false, narrow, value.gradient(), null);
        Mixture.combineBackward(context, narrow, all, scores, false, dall, dscores);
        Mixture.routeBackward(context, scores, scores, dscores, false, 0, null, dscores, null);
        Mixture.combineBackward(context, keyed, null, dscores, true, dall, null);
        Mixture.combineForward(context, all, dscores, narrow); // gradient of queries K
        if (key.trainable()) {
            Linear.backward(context, queries, narrow, keyWeight, false, null, key.gradient(), null);
        }
        Linear.forward(context, narrow, keyWeight, null, false, mixed); // gradient of queries
        Linear.backward(context, mixed, layer, queryWeight, true, gradient, query.gradient(), null);
        back(context, dall, gradient);
        if (dx != null) {
            Linear.backward(context, gradient, null, weight, accumulate, dx, null, null);
        }
    }

    /** From the gradients of the networks' results [T, networks · out] to that of z, which is added to. */
    private void back(Context context, Tensor dall, Tensor gradient) {
        if (dall != lastGradients) {
            lastGradients = dall;
            blocks(dall, gradients);
        }
        for (int i = 0; i < inner.length; i++) {
            Tensor dinner = buffers.get(gradient, downs[i].n(), SharedBuffers.Use.NARROW);
            Linear.backward(context, gradients[i], null, ups[i], false, dinner, null, null);
            Activation.backward(context, networks.get(i).function(), dinner, inner[i], dinner);
            Linear.backward(context, dinner, null, downs[i], true, gradient, null, null);
        }
    }

    /** The networks' results side by side [T, networks · out], in a buffer with the rows of {@code like}. */
    private Tensor results(Context context, Tensor like) {
        Tensor all = buffers.get(like, (long) width * networks.size(), SharedBuffers.Use.INNER);
        if (all != lastResults) {
            lastResults = all;
            blocks(all, results);
        }
        for (int i = 0; i < results.length; i++) {
            Linear.forward(context, inner[i], ups[i], null, false, results[i]);
        }
        return all;
    }

    private void blocks(Tensor all, Tensor[] parts) {
        for (int i = 0; i < parts.length; i++) {
            parts[i] = all.columns((long) i * width, (i + 1L) * width);
        }
    }

    /** why: the same tensor comes back in each step; views made once leave no garbage. */
    private void split(Tensor kept) {
        if (kept == lastKept) {
            return;
        }
        lastKept = kept;
        long at = 0;
        layer = kept.columns(at, at += width);
        queries = kept.columns(at, at += width);
        keyed = kept.columns(at, at += width);
        scores = kept.columns(at, at += networks.size());
        for (int i = 0; i < inner.length; i++) {
            inner[i] = kept.columns(at, at += downs[i].n());
        }
    }

    @Override
    public boolean trainable() {
        return query.trainable();
    }

    @Override
    public boolean readsInput() {
        return false;
    }

    /** Refused: the networks are not linear. */
    @Override
    public void merge(Weight weight) {
        throw new UnsupportedOperationException(
                "Fusion.merge: " + value.name() + " cannot become part of a weight; keep the adapter beside the model");
    }
}
