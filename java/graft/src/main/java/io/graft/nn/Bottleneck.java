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
 * {@code z = x Wᵀ}. Kept are the network's inner state and, behind a projection, z. A and B are used in the compute dtype,
 * beside their masters.
 */
public final class Bottleneck implements Attachment {
    private final Parameter down;
    private final Parameter up;
    private final Activation.Kind kind;
    private final boolean parallel;
    private final Weight downWeight;
    private final Weight upWeight;
    private final SharedBuffers buffers;
    private Tensor lastKept;
    private Tensor lastLayer;
    private Tensor lastInner;

    /**
     * @param down A [size, in], or [size, out] behind a projection
     * @param up B [out, size]
     * @param parallel whether the network stands beside the projection
     * @param buffers for what lives shorter than a pass; the same for all projections of a model
     */
    public Bottleneck(
            Scope scope, Parameter down, Parameter up, Activation.Kind kind, boolean parallel, SharedBuffers buffers) {
        this.down = down;
        this.up = up;
        this.kind = kind;
        this.parallel = parallel;
        this.buffers = buffers;
        downWeight = scope.weight(down.value());
        upWeight = scope.weight(up.value());
    }

    private int size() {
        return (int) downWeight.n();
    }

    @Override
    public int kept() {
        return parallel ? size() : (int) upWeight.n() + size();
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Context context = pass.context();
        Tensor inner = inner(kept, y);
        if (parallel) {
            Linear.forward(context, x, weight, null, accumulate, y);
            Linear.forward(context, x, downWeight, null, false, inner);
        } else {
            Tensor z = layer(kept, accumulate, y);
            Linear.forward(context, x, weight, null, false, z);
            Linear.forward(context, z, downWeight, null, false, inner);
            if (accumulate) {
                TensorOps.add(context, z, y);
            } else if (z != y) {
                TensorOps.copy(context, z, y);
            }
        }
        Activation.forward(context, kind, inner, inner);
        Linear.forward(context, inner, upWeight, null, true, y);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx == null && !trainable()) {
            return;
        }
        Context context = pass.context();
        Tensor inner = inner(kept, dy);
        Tensor dinner = buffers.get(dy, size(), SharedBuffers.Use.INNER);
        Linear.backward(context, dy, inner, upWeight, false, dinner, up.gradient(), null);
        Activation.backward(context, kind, dinner, inner, dinner);
        if (parallel) {
            if (dx != null) {
                Linear.backward(context, dy, null, weight, accumulate, dx, null, null);
            }
            Linear.backward(context, dinner, trainable() ? x : null, downWeight, true, dx, down.gradient(), null);
        } else {
            Tensor dlayer = buffers.get(dy, upWeight.n(), SharedBuffers.Use.LAYER);
            TensorOps.copy(context, dy, dlayer);
            Linear.backward(context, dinner, layer(kept, false, null), downWeight, true, dlayer, down.gradient(), null);
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
            return accumulate ? buffers.get(y, upWeight.n(), SharedBuffers.Use.LAYER) : y;
        }
        split(kept);
        return lastLayer;
    }

    /** why: the same tensor comes back in each step; views made once leave no garbage. */
    private void split(Tensor kept) {
        if (kept != lastKept) {
            lastKept = kept;
            lastInner = parallel ? kept : kept.columns(upWeight.n(), kept.size(1));
            lastLayer = parallel ? null : kept.columns(0, upWeight.n());
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

    @Override
    public void write(Weight weight) {}

    /** Refused: the network is not linear. */
    @Override
    public void merge(Weight weight) {
        throw new UnsupportedOperationException("Bottleneck.merge: " + down.name()
                + " cannot become part of a weight; keep the adapter beside the model");
    }
}
