package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.LoraLinear;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** A linear layer that an adapter may attach to: {@code y = x Wᵀ}, with or without a low-rank part. */
public final class Projection {
    private final String module;
    private final Weight weight;
    private final Parameter parameter;
    private LowRank lowRank;

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
        this.weight = scope.weight(Memory.BASE, dtype, n, k, border);
        this.parameter = new Parameter(module + ".weight", weight.matrix());
    }

    /** y = layer(x), or y += layer(x). s [T, r] keeps what backward needs of the low-rank part; null in inference. */
    public void forward(Pass pass, Tensor x, boolean accumulate, Tensor y, Tensor s) {
        Context context = pass.context();
        if (lowRank == null) {
            Linear.forward(context, x, weight, null, accumulate, y);
        } else {
            LoraLinear.forward(
                    context,
                    x,
                    weight,
                    lowRank.a().value(),
                    lowRank.b().value(),
                    lowRank.scale(),
                    null,
                    dropout(pass),
                    seed(pass),
                    pass.dropoutOffset(),
                    accumulate,
                    y,
                    s);
        }
    }

    /** dx = gradient of x (added to when accumulate), null where not wanted; parameter gradients are added to. */
    public void backward(Pass pass, Tensor dy, Tensor x, Tensor s, boolean accumulate, Tensor dx) {
        Context context = pass.context();
        Tensor dw = parameter.gradient();
        if (lowRank == null) {
            if (dx != null || dw != null) {
                Linear.backward(context, dy, x, weight, accumulate, dx, dw, null);
            }
            return;
        }
        Tensor da = lowRank.a().gradient();
        Tensor db = lowRank.b().gradient();
        if (dx != null || da != null || db != null) {
            LoraLinear.backward(
                    context,
                    dy,
                    x,
                    s,
                    weight,
                    lowRank.a().value(),
                    lowRank.b().value(),
                    lowRank.scale(),
                    dropout(pass),
                    seed(pass),
                    pass.dropoutOffset(),
                    accumulate,
                    dx,
                    da,
                    db,
                    null);
        }
    }

    private double dropout(Pass pass) {
        return pass.training() ? lowRank.dropout() : 0;
    }

    private long seed(Pass pass) {
        return pass.dropoutSeed() ^ lowRank.dropoutKey();
    }

    /** Adds the low-rank part and writes it into the border; call {@link #pack()} after each change of A or B. */
    public void attach(LowRank part) {
        if (lowRank != null) {
            throw new IllegalStateException("Projection.attach: " + module + " already has a low-rank part");
        }
        if (parameter.trainable()) {
            throw new IllegalStateException("Projection.attach: " + module + " is itself trained");
        }
        lowRank = part;
        pack();
    }

    /** Copies A and scale · B into the weight's border, where it has one. */
    public void pack() {
        if (lowRank != null && weight.border() >= lowRank.rank()) {
            LoraLinear.pack(
                    weight.matrix().scope().context(),
                    lowRank.a().value(),
                    lowRank.b().value(),
                    lowRank.scale(),
                    weight);
        }
    }

    /** Adds scale · B A to W and drops the low-rank part. */
    public void merge() {
        if (lowRank != null) {
            Context context = weight.matrix().scope().context();
            LoraLinear.merge(
                    context, weight, lowRank.a().value(), lowRank.b().value(), lowRank.scale(), weight.matrix());
            lowRank = null;
        }
    }

    /** Whether anything of the layer is trained; only then has backward a use for x. */
    public boolean trainable() {
        return parameter.trainable() || (lowRank != null && lowRank.trainable());
    }

    public String module() {
        return module;
    }

    public Weight weight() {
        return weight;
    }

    public Parameter parameter() {
        return parameter;
    }

    /** The low-rank part, or null. */
    public LowRank lowRank() {
        return lowRank;
    }

    /** Columns that activations around this layer keep free behind each row. */
    public int border() {
        return weight.border();
    }
}
