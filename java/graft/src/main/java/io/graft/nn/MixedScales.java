package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.Mixture;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Scales of a projection that are, for each row, a mixture of trained vectors: of its inputs {@code (x ⊙ g V) Wᵀ} or of
 * its outputs {@code (x Wᵀ) ⊙ g V}, with the gates g of a router on x. Kept are logits and gates and, for outputs, the
 * layer's own result.
 */
public final class MixedScales implements Attachment {
    private final Parameter rows;
    private final Parameter vectors;
    private final boolean inputs;
    private final Router router;
    private final SharedBuffers buffers;
    private final Weight rowsWeight;
    private Tensor bias;
    private Tensor lastKept;
    private Tensor logits;
    private Tensor gates;
    private Tensor layer;

    /**
     * @param rows the router [experts, in]
     * @param vectors V [experts, in] or [experts, out]
     * @param buffers for what lives shorter than a pass; the same for all projections of a model
     */
    public MixedScales(
            Scope scope, Parameter rows, Parameter vectors, boolean inputs, Router router, SharedBuffers buffers) {
        this.rows = rows;
        this.vectors = vectors;
        this.inputs = inputs;
        this.router = router;
        this.buffers = buffers;
        rowsWeight = scope.weight(rows.value());
    }

    private int experts() {
        return (int) rowsWeight.n();
    }

    private long width() {
        return vectors.value().size(1);
    }

    @Override
    public int kept() {
        return 2 * experts() + (inputs ? 0 : (int) width());
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Context context = pass.context();
        split(kept == null ? buffers.get(y, 2L * experts(), SharedBuffers.Use.KEPT) : kept);
        Linear.forward(context, x, rowsWeight, null, false, logits);
        router.forward(pass, logits, gates);
        Tensor v = vectors.value();
        if (inputs) {
            Tensor scaled = buffers.get(y, width(), SharedBuffers.Use.LAYER);
            Mixture.vectorsForward(context, x, gates, v, false, scaled);
            Linear.forward(context, scaled, weight, null, accumulate, y);
        } else {
            Tensor z = kept != null ? layer : accumulate ? buffers.get(y, width(), SharedBuffers.Use.LAYER) : y;
            Linear.forward(context, x, weight, bias, false, z);
            Mixture.vectorsForward(context, z, gates, v, accumulate, y);
        }
    }

    @Override
    public boolean takes(Tensor layerBias) {
        bias = layerBias;
        return !inputs;
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx == null && !trainable()) {
            return;
        }
        Context context = pass.context();
        split(kept);
        Tensor v = vectors.value();
        Tensor dv = vectors.gradient();
        Tensor gradient = buffers.get(dy, experts(), SharedBuffers.Use.GRADIENT);
        Tensor inner = buffers.get(dy, width(), SharedBuffers.Use.LAYER);
        if (inputs) {
            Linear.backward(context, dy, null, weight, false, inner, null, null);
            Mixture.vectorsBackward(context, inner, x, gates, v, accumulate ? inner : dx, gradient, dv);
            if (dx != null && accumulate) {
                TensorOps.add(context, inner, dx);
            }
        } else {
            Mixture.vectorsBackward(context, dy, layer, gates, v, dx == null ? null : inner, gradient, dv);
            if (dx != null) {
                Linear.backward(context, inner, null, weight, accumulate, dx, null, null);
            }
        }
        router.backward(pass, logits, gates, gradient);
        Linear.backward(context, gradient, trainable() ? x : null, rowsWeight, true, dx, rows.gradient(), null);
    }

    /** why: the same tensor comes back in each step; views made once leave no garbage. */
    private void split(Tensor kept) {
        if (kept != lastKept) {
            lastKept = kept;
            logits = kept.columns(0, experts());
            gates = kept.columns(experts(), 2L * experts());
            layer = inputs || kept.size(1) < kept() ? null : kept.columns(2L * experts(), kept());
        }
    }

    @Override
    public boolean trainable() {
        return vectors.trainable();
    }

    /** why always for inputs: the gradient of a gate is a sum over x. */
    @Override
    public boolean readsInput() {
        return inputs || trainable();
    }

    /** Refused: the scales depend on the row. */
    @Override
    public void merge(Weight weight) {
        throw new UnsupportedOperationException("MixedScales.merge: " + vectors.name()
                + " cannot become part of a weight; keep the adapter beside the model");
    }
}
