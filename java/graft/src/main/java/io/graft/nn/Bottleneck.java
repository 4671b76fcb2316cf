package io.graft.nn;

import io.graft.ops.Activation;
import io.graft.ops.Linear;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A small network beside a projection or behind it: {@code y = x Wᵀ + f(x Aᵀ) Bᵀ}, or {@code y = z + f(z Aᵀ) Bᵀ} with
 * {@code z = x Wᵀ + bias}. Kept are the network's inner state and, behind a projection, z. A and B are matrices in the compute
 * dtype, beside their masters, or sums of Kronecker products.
 */
public final class Bottleneck implements Attachment {
    private final TrainedMap down;
    private final TrainedMap up;
    private final Activation.Kind kind;
    private final boolean parallel;
    private final SharedBuffers buffers;
    private Tensor bias;
    private Tensor lastKept;
    private Tensor lastLayer;
    private Tensor lastInner;

    private Bottleneck(TrainedMap down, TrainedMap up, Activation.Kind kind, boolean parallel, SharedBuffers buffers) {
        this.down = down;
        this.up = up;
        this.kind = kind;
        this.parallel = parallel;
        this.buffers = buffers;
    }

    /**
     * @param down A [size, in], or [size, out] behind a projection
     * @param up B [out, size]
     * @param parallel whether the network stands beside the projection
     * @param buffers for what lives shorter than a pass; the same for all projections of a model
     */
    public Bottleneck(
            Scope scope, Parameter down, Parameter up, Activation.Kind kind, boolean parallel, SharedBuffers buffers) {
        this(TrainedMap.Dense.of(scope, down), TrainedMap.Dense.of(scope, up), kind, parallel, buffers);
    }

    /** A factor of a sum of Kronecker products of n by n matrices that layers share and of low-rank ones. */
    public record Hypercomplex(Parameter b, Parameter a) {}

    /**
     * With A and B that are {@code Σ rule[m] ⊗ (b[m] a[m])} (Compacter, arXiv 2106.04647, equation 6).
     *
     * @param rule [n, n, n]
     */
    public static Bottleneck hypercomplex(
            Parameter rule,
            Hypercomplex down,
            Hypercomplex up,
            Activation.Kind kind,
            boolean parallel,
            SharedBuffers buffers) {
        return new Bottleneck(
                KroneckerSum.of(rule, down.b(), down.a(), 1),
                KroneckerSum.of(rule, up.b(), up.a(), 1),
                kind,
                parallel,
                buffers);
    }

    /** The network, where it stands behind its projection and has whole matrices; else null. */
    public Fusion.Network behind() {
        return !parallel && down instanceof TrainedMap.Dense a && up instanceof TrainedMap.Dense b
                ? new Fusion.Network(a.parameter().value(), b.parameter().value(), kind)
                : null;
    }

    private int size() {
        return down.outputs();
    }

    @Override
    public int kept() {
        return parallel ? size() : up.outputs() + size();
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Context context = pass.context();
        Tensor inner = inner(kept, y);
        if (parallel) {
            Linear.forward(context, x, weight, null, accumulate, y);
            down.forward(context, x, false, inner);
        } else {
            Tensor z = layer(kept, accumulate, y);
            Linear.forward(context, x, weight, bias, false, z);
            down.forward(context, z, false, inner);
            if (accumulate) {
                TensorOps.add(context, z, y);
            } else if (z != y) {
                TensorOps.copy(context, z, y);
            }
        }
        Activation.forward(context, kind, inner, inner);
        up.forward(context, inner, true, y);
    }

    @Override
    public boolean takes(Tensor layerBias) {
        bias = layerBias;
        return !parallel;
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx == null && !trainable()) {
            return;
        }
        Context context = pass.context();
        Tensor inner = inner(kept, dy);
        Tensor dinner = buffers.get(dy, size(), SharedBuffers.Use.INNER);
        up.backward(context, dy, inner, false, dinner);
        Activation.backward(context, kind, dinner, inner, dinner);
        if (parallel) {
            if (dx != null) {
                Linear.backward(context, dy, null, weight, accumulate, dx, null, null);
            }
            down.backward(context, dinner, x, true, dx);
        } else {
            Tensor dlayer = buffers.get(dy, up.outputs(), SharedBuffers.Use.LAYER);
            TensorOps.copy(context, dy, dlayer);
            down.backward(context, dinner, layer(kept, false, null), true, dlayer);
            if (dx != null) {
                Linear.backward(context, dlayer, null, weight, accumulate, dx, null, null);
            }
        }
    }

    /** f's result [T, size]: in what is kept, or where that is null in a buffer with y's rows. */
    private Tensor inner(Tensor kept, Tensor y) {
        if (kept == null) {
            return buffers.get(y, size(), SharedBuffers.Use.INNER);
        }
        split(kept);
        return lastInner;
    }

    /** z [T, out]: in what is kept, or where that is null in y itself or, if y holds something, in a buffer. */
    private Tensor layer(Tensor kept, boolean accumulate, Tensor y) {
        if (kept == null) {
            return accumulate ? buffers.get(y, up.outputs(), SharedBuffers.Use.LAYER) : y;
        }
        split(kept);
        return lastLayer;
    }

    /** why: the same tensor comes back in each step; views made once leave no garbage. */
    private void split(Tensor kept) {
        if (kept != lastKept) {
            lastKept = kept;
            lastInner = parallel ? kept : kept.columns(up.outputs(), kept.size(1));
            lastLayer = parallel ? null : kept.columns(0, up.outputs());
        }
    }

    @Override
    public boolean trainable() {
        return down.trainable();
    }

    @Override
    public boolean readsInput() {
        return parallel && trainable();
    }

    /** Refused: the network is not linear. */
    @Override
    public void merge(Weight weight) {
        throw new UnsupportedOperationException("Bottleneck.merge: a network with an activation"
                + " cannot become part of a weight; keep the adapter beside the model");
    }
}
