package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.Nf4;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** A linear layer that an adapter may attach to: {@code y = x Wᵀ}, or what the attachment makes of it. */
public final class Projection {
    private final String module;
    private final DType dtype;
    private final Weight weight;
    private final Parameter parameter;
    private Attachment attachment;

    /** Makes the projection of a module; knows the border that its adapter wants. */
    @FunctionalInterface
    public interface Factory {
        Projection projection(String module, long outputs, long inputs);
    }

    /**
     * @param module path of the module, e.g. {@code model.layers.0.self_attn.q_proj}
     * @param border columns and rows kept beside W for an adapter: the rank it will have, or 0
     */
    public Projection(Scope scope, String module, DType dtype, long n, long k, int border) {
        this.module = module;
        this.dtype = dtype;
        this.weight = scope.weight(Memory.BASE, dtype, n, k, border);
        this.parameter = new Parameter(module + ".weight", weight.matrix());
    }

    private Projection(String module, DType dtype, Weight weight) {
        this.module = module;
        this.dtype = dtype;
        this.weight = weight;
        this.parameter = null;
    }

    /** A projection whose frozen W is NF4, double quantised, of zeros until {@link #quantize}. */
    public static Projection nf4(Scope scope, String module, DType dtype, long n, long k) {
        return new Projection(module, dtype, scope.nf4(Memory.BASE, n, k, true));
    }

    /** Fills the W of an NF4 projection from a matrix [n, k]. */
    public void quantize(Tensor matrix) {
        Nf4.quantize(matrix.scope().context(), matrix, weight);
    }

    /** y = layer(x), or y += layer(x). kept holds what the attachment's backward needs; null in inference. */
    public void forward(Pass pass, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        if (attachment == null) {
            Linear.forward(pass.context(), x, weight, null, accumulate, y);
        } else {
            attachment.forward(pass, weight, x, accumulate, y, kept);
        }
    }

    /** dx = gradient of x (added to when accumulate), null where not wanted; parameter gradients are added to. */
    public void backward(Pass pass, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        Tensor dw = parameter == null ? null : parameter.gradient();
        if (attachment != null) {
            attachment.backward(pass, weight, dy, x, kept, accumulate, dx);
        } else if (dx != null || dw != null) {
            Linear.backward(pass.context(), dy, x, weight, accumulate, dx, dw, null);
        }
    }

    /** Lets an adapter's part change the layer; call {@link #write()} after each change of its parameters. */
    public void attach(Attachment part) {
        if (attachment != null) {
            throw new IllegalStateException("Projection.attach: " + module + " already has an adapter");
        }
        if (wholeTrained()) {
            throw new IllegalStateException("Projection.attach: " + module + " is itself trained");
        }
        attachment = part;
        write();
    }

    /** Brings the weight in line with the attachment's parameters. */
    public void write() {
        if (attachment != null) {
            attachment.write(weight);
        }
    }

    /** Makes the attachment part of W and drops it. */
    public void merge() {
        if (attachment != null) {
            attachment.merge(weight);
            attachment = null;
        }
    }

    /** Whether anything of the layer is trained. */
    public boolean trainable() {
        return wholeTrained() || (attachment != null && attachment.trainable());
    }

    /** Whether backward has a use for x. */
    public boolean readsInput() {
        return wholeTrained() || (attachment != null && attachment.readsInput());
    }

    private boolean wholeTrained() {
        return parameter != null && parameter.trainable();
    }

    public String module() {
        return module;
    }

    /** The path of the parameter in the checkpoint. */
    public String name() {
        return module + ".weight";
    }

    public Weight weight() {
        return weight;
    }

    /** The compute dtype, in which activations are. */
    public DType dtype() {
        return dtype;
    }

    /** W as a parameter; null where it is quantised and so never trained. */
    public Parameter parameter() {
        return parameter;
    }

    /** What an adapter attached, or null. */
    public Attachment attachment() {
        return attachment;
    }

    /** Columns that activations around this layer keep free behind each row. */
    public int border() {
        return weight.border();
    }
}
