package io.graft.nn;

import io.graft.ops.Activation;
import io.graft.ops.Linear;
import io.graft.ops.Mixture;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Narrow networks beside a projection or behind it, weighed for each row by a router's gates: {@code y = x Wᵀ + scale ·
 * Σ_e g_e f(x A_eᵀ) B_eᵀ}, or behind it {@code y = z + …} with z = x Wᵀ in the place of x. The networks lie side by side
 * and the router's rows below their A, so that two narrow products make all of them. Kept are f's results, logits and
 * gates, and, behind a projection, z.
 */
public final class Experts implements Attachment {
    /**
     * @param experts how many networks
     * @param width of each
     * @param parallel whether they stand beside the projection
     * @param function f; null: the identity
     */
    public record Form(int experts, int width, boolean parallel, Activation.Kind function, double scale) {
        int inner() {
            return experts * width;
        }

        /** Rows of all A and of the router. */
        public int down() {
            return inner() + experts;
        }
    }

    private final Parameter down;
    private final Parameter rows;
    private final Parameter up;
    private final Form form;
    private final Router router;
    private final Weight downWeight;
    private Tensor bias;
    private final Weight rowsWeight;
    private final Weight upWeight;
    private final SharedBuffers buffers;
    private Tensor lastKept;
    private Tensor latent;
    private Tensor inner;
    private Tensor logits;
    private Tensor gates;
    private Tensor layer;
    private Tensor lastLatentGradient;
    private Tensor innerGradient;
    private Tensor logitsGradient;

    /**
     * @param down A of all networks and then the router [experts · width + experts, in], or [.., out] behind a projection
     * @param up B of all networks side by side [out, experts · width]
     * @param buffers for what lives shorter than a pass; the same for all projections of a model
     */
    public Experts(Scope scope, Parameter down, Parameter up, Form form, Router router, SharedBuffers buffers) {
        this(scope, down, null, up, form, router, buffers);
    }

    /**
     * With a router apart, for networks that stay as they are.
     *
     * @param down A of all networks [experts · width, in]
     * @param rows the router [experts, in]
     */
    public Experts(
            Scope scope,
            Parameter down,
            Parameter rows,
            Parameter up,
            Form form,
            Router router,
            SharedBuffers buffers) {
        this.down = down;
        this.rows = rows;
        rowsWeight = rows == null ? null : scope.weight(rows.value());
        this.up = up;
        this.form = form;
        this.router = router;
        this.buffers = buffers;
        downWeight = scope.weight(down.value());
        upWeight = scope.weight(up.value());
    }

    @Override
    public int kept() {
        return form.down() + form.experts() + (form.parallel() ? 0 : (int) upWeight.n());
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Context context = pass.context();
        split(kept == null ? buffers.get(y, form.down() + form.experts(), SharedBuffers.Use.KEPT) : kept);
        Tensor input = x;
        if (form.parallel()) {
            Linear.forward(context, x, weight, null, accumulate, y);
        } else {
            input = kept != null ? layer : accumulate ? buffers.get(y, upWeight.n(), SharedBuffers.Use.LAYER) : y;
            Linear.forward(context, x, weight, bias, false, input);
            if (accumulate) {
                TensorOps.add(context, input, y);
            } else if (input != y) {
                TensorOps.copy(context, input, y);
            }
        }
        Linear.forward(context, input, downWeight, null, false, latent);
        if (rows != null) {
            Linear.forward(context, input, rowsWeight, null, false, logits);
        }
        if (form.function() != null) {
            Activation.forward(context, form.function(), inner, inner);
        }
        router.forward(pass, logits, gates);
        Linear.forward(context, mixed(context, y), upWeight, null, true, y);
    }

    @Override
    public boolean takes(Tensor layerBias) {
        bias = layerBias;
        return !form.parallel();
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx == null && !trainable()) {
            return;
        }
        Context context = pass.context();
        split(kept);
        Tensor gradient = buffers.get(dy, form.inner(), SharedBuffers.Use.GRADIENT);
        Linear.backward(context, dy, mixed(context, dy), upWeight, false, gradient, up.gradient(), null);
        Tensor latentGradient = buffers.get(dy, form.down(), SharedBuffers.Use.KEPT);
        splitGradient(latentGradient);
        Mixture.blocksBackward(context, gradient, inner, gates, form.scale(), innerGradient, logitsGradient);
        if (form.function() != null) {
            Activation.backward(context, form.function(), innerGradient, inner, innerGradient);
        }
        router.backward(pass, logits, gates, logitsGradient);
        if (form.parallel()) {
            if (dx != null) {
                Linear.backward(context, dy, null, weight, accumulate, dx, null, null);
            }
            back(context, x, dx);
        } else {
            Tensor layerGradient = buffers.get(dy, upWeight.n(), SharedBuffers.Use.LAYER);
            TensorOps.copy(context, dy, layerGradient);
            back(context, layer, layerGradient);
            if (dx != null) {
                Linear.backward(context, layerGradient, null, weight, accumulate, dx, null, null);
            }
        }
    }

    /** From the gradients of the narrow products to those of A and the router, and of their input, which is added to. */
    private void back(Context context, Tensor input, Tensor gradient) {
        if (rows == null) {
            Linear.backward(
                    context,
                    lastLatentGradient,
                    trainable() ? input : null,
                    downWeight,
                    true,
                    gradient,
                    down.gradient(),
                    null);
        } else {
            if (gradient != null || down.trainable()) {
                Linear.backward(
                        context,
                        innerGradient,
                        trainable() ? input : null,
                        downWeight,
                        true,
                        gradient,
                        down.gradient(),
                        null);
            }
            Linear.backward(
                    context,
                    logitsGradient,
                    trainable() ? input : null,
                    rowsWeight,
                    true,
                    gradient,
                    rows.gradient(),
                    null);
        }
    }

    /** scale · gates ⊙ f's results, in a buffer with the rows of {@code like}. */
    private Tensor mixed(Context context, Tensor like) {
        Tensor mixed = buffers.get(like, form.inner(), SharedBuffers.Use.INNER);
        Mixture.blocksForward(context, inner, gates, form.scale(), mixed);
        return mixed;
    }

    /** why: the same tensor comes back in each step; views made once leave no garbage. */
    private void split(Tensor kept) {
        if (kept != lastKept) {
            lastKept = kept;
            latent = kept.columns(0, rows == null ? form.down() : form.inner());
            inner = kept.columns(0, form.inner());
            logits = kept.columns(form.inner(), form.down());
            gates = kept.columns(form.down(), form.down() + form.experts());
            layer = form.parallel() || kept.size(1) < kept()
                    ? null
                    : kept.columns(form.down() + form.experts(), kept());
        }
    }

    private void splitGradient(Tensor gradient) {
        if (gradient != lastLatentGradient) {
            lastLatentGradient = gradient;
            innerGradient = gradient.columns(0, form.inner());
            logitsGradient = gradient.columns(form.inner(), form.down());
        }
    }

    @Override
    public boolean trainable() {
        return down.trainable() || (rows != null && rows.trainable());
    }

    @Override
    public boolean readsInput() {
        return form.parallel() && trainable();
    }

    /** Refused: what the networks add depends on the row. */
    @Override
    public void merge(Weight weight) {
        throw new UnsupportedOperationException(
                "Experts.merge: " + down.name() + " cannot become part of a weight; keep the adapter beside the model");
    }
}
