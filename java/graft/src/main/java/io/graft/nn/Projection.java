package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.Nf4;
import io.graft.ops.SketchCompress;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.tensor.WeightForm;
import java.util.List;

/** A linear layer that an adapter may attach to: {@code y = x Wᵀ + bias}, or what the attachment makes of it. */
public final class Projection {
    private final String module;
    private final DType dtype;
    private final Weight weight;
    private final Parameter parameter;
    private final Tensor table;
    private Attachment attachment;
    private boolean leftOut;
    private Parameter bias;
    private BiasRows biasRows;
    private boolean biasTaken;

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
        this.table = null;
    }

    private Projection(String module, DType dtype, Weight weight, Tensor table) {
        this.module = module;
        this.dtype = dtype;
        this.weight = weight;
        this.parameter = null;
        this.table = table;
    }

    /** A projection whose W is stored in any form: of codes, zeros until {@link #quantize} or until they are read. */
    public static Projection of(Scope scope, String module, DType dtype, long n, long k, int border, WeightForm form) {
        return switch (form.kind()) {
            case DENSE -> new Projection(scope, module, dtype, n, k, border);
            case NF4 -> new Projection(module, dtype, scope.nf4(Memory.BASE, n, k, form.nested()), null);
            case SKETCH -> {
                Tensor table =
                        scope.tensor(Memory.BASE, Precision.accumulator(dtype), n, form.groups(), form.entries());
                yield new Projection(module, dtype, scope.sketch(Memory.BASE, table, k), table);
            }
        };
    }

    /** Gives the layer a bias [out], zero until it is filled; like the weights of norms in fp32 whatever the compute dtype. */
    public Projection withBias(Scope scope) {
        bias = new Parameter(module + ".bias", scope.tensor(Memory.BASE, Precision.accumulator(dtype), weight.n()));
        biasRows = new BiasRows(bias.value());
        return this;
    }

    /** Fills codes, and the table of a sketch, from a matrix [n, k], as near as each element by itself can be. */
    public void quantize(Tensor matrix) {
        Context context = matrix.scope().context();
        if (context.device().isCpu()) {
            quantize(matrix, weight);
            return;
        }
        // why on the host: there is no other code for it, and it happens once.
        try (Scope scope = context.host().scope()) {
            Tensor values = scope.tensor(Memory.WORKSPACE, matrix.dtype(), matrix.shape());
            matrix.download(values);
            if (table == null) {
                Weight made = scope.nf4(Memory.WORKSPACE, weight.n(), weight.k(), weight.nested());
                quantize(values, made);
                weight.upload(made);
            } else {
                Tensor entries = scope.tensor(Memory.WORKSPACE, table.dtype(), table.shape());
                Weight made = scope.sketch(Memory.WORKSPACE, entries, weight.k());
                quantize(values, made);
                weight.upload(made);
                table.upload(entries);
            }
        }
    }

    private static void quantize(Tensor matrix, Weight into) {
        Context context = matrix.scope().context();
        if (into.kind() == Weight.Kind.NF4) {
            Nf4.quantize(context, matrix, into);
        } else {
            SketchCompress.matrix(context, matrix, null, null, 0, into, null);
        }
    }

    /** y = layer(x), or y += layer(x). kept holds what the attachment's backward needs; null in inference. */
    public void forward(Pass pass, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        if (attachment == null || leftOut) {
            Linear.forward(pass.context(), x, weight, bias == null ? null : bias.value(), accumulate, y);
        } else if (bias == null || biasTaken) {
            attachment.forward(pass, weight, x, accumulate, y, kept);
        } else {
            biasRows.put(pass.context(), accumulate, y);
            attachment.forward(pass, weight, x, true, y, kept);
        }
    }

    /** dx = gradient of x (added to when accumulate), null where not wanted; parameter gradients are added to. */
    public void backward(Pass pass, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        Tensor dw = parameter == null ? null : parameter.gradient();
        Tensor dbias = bias == null ? null : bias.gradient();
        if (attachment != null && !leftOut) {
            attachment.backward(pass, weight, dy, x, kept, accumulate, dx);
            if (dbias != null && !biasTaken) {
                Linear.backward(pass.context(), dy, null, weight, false, null, null, dbias);
            }
        } else if (dx != null || dw != null || dbias != null) {
            Linear.backward(pass.context(), dy, x, weight, accumulate, dx, dw, dbias);
        }
    }

    /** Adds the layer's parameters: the matrix, where it is one, and the bias. */
    void collect(List<Parameter> all) {
        if (parameter != null) {
            all.add(parameter);
        }
        if (bias != null) {
            all.add(bias);
        }
    }

    boolean removable() {
        return attachment == null || attachment.removable();
    }

    /** Whether passes run the layer as it is in the base, without its attachment, which stays. */
    void leaveOut(boolean on) {
        leftOut = on;
    }

    /** Lets an adapter's part change the layer; call {@link #write()} after each change of its parameters. */
    public void attach(Attachment part) {
        if (attachment != null) {
            throw new IllegalStateException("Projection.attach: " + module + " already has an adapter");
        }
        if (trainable()) {
            throw new IllegalStateException("Projection.attach: " + module + " is itself trained");
        }
        biasTaken = bias != null && part.takes(bias.value());
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

    /** Drops the attachment; the weight stays as it is. */
    public void detach() {
        attachment = null;
    }

    /** Whether anything of the layer is trained. */
    public boolean trainable() {
        return wholeTrained() || (bias != null && bias.trainable()) || (attachment != null && attachment.trainable());
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

    /** The layer's own bias [out], or null. */
    public Parameter bias() {
        return bias;
    }

    /** The values of a sketch [n, groups, entries]; null for all other weights. */
    public Tensor table() {
        return table;
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
