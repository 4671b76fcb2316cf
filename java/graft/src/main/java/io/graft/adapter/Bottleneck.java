package io.graft.adapter;

import io.graft.io.Architecture;
import io.graft.io.PeftBottleneckConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Experts;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.Router;
import io.graft.ops.Activation;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * Bottleneck adapters: a network of two narrow layers with an activation between them, behind the output projections of
 * attention and MLP (arXiv 1902.00751, figure 2) or beside any projection (arXiv 2110.04366, section 3.3), with a residual
 * connection. Fresh ones with {@code init_weights} mam_adapter start at the base model.
 *
 * <p>PEFT does not know them. The files are those of LLM-Adapters (arXiv 2304.01933), a fork of PEFT: type
 * {@code BOTTLENECK}, tensors {@code adapter_down.weight} [size, in] and {@code adapter_up.weight} [out, size].
 */
public final class Bottleneck extends PrunedAdapter<PeftBottleneckConfig> {
    private static final double DEVIATION = 0.02;

    private Bottleneck(PeftBottleneckConfig config, Origin origin) {
        super(config, origin);
    }

    /** Fresh networks, to be trained. */
    public static Bottleneck create(PeftBottleneckConfig config, long seed) {
        return new Bottleneck(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Bottleneck load(Path directory) {
        return new Bottleneck(PeftBottleneckConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Bottleneck frozen(Path directory) {
        return new Bottleneck(PeftBottleneckConfig.read(directory), Origin.of(directory, false));
    }

    /**
     * Gives up all but a share of the numbers before the first step, by |p · dp| of its gradients, and keeps them at zero
     * (SparseAdapter with SNIP, arXiv 2210.04284, section 3). Networks must not start at zero, where half of them have no
     * gradient.
     */
    public Bottleneck withSparsity(double share) {
        if (config.startsAtBase()) {
            throw new IllegalArgumentException(
                    "Bottleneck: init_weights mam_adapter starts at zero, where gradients do not"
                            + " say what matters; sparse adapters need bert");
        }
        if (config.gated()) {
            throw new IllegalArgumentException("Bottleneck: networks with gates cannot be sparse");
        }
        prune(new ElementPruner.Plan(share, 0, false));
        return this;
    }

    @Override
    public boolean mergeable() {
        return false;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        checkPlace(config, projection.module());
        String key = PREFIX + projection.module() + ".adapter_";
        if (config.gated()) {
            return gated(scope, projection, key);
        }
        Parameter down = train(scope, down(scope, projection, config, key + "down.weight"));
        Parameter up = train(scope, up(scope, projection, config, key + "up.weight"));
        if (fromFile()) {
            read(down.name(), down.best());
            read(up.name(), up.best());
            down.refreshValue();
            up.refreshValue();
        } else {
            initialise(this, config, down, up);
        }
        prunable(scope, down);
        prunable(scope, up);
        return new io.graft.nn.Bottleneck(scope, down, up, function(config), config.parallel(), buffers());
    }

    /** One expert whose gate is a sigmoid; the gate's row lies below A. */
    private Attachment gated(Scope scope, Projection projection, String key) {
        Experts.Form form = new Experts.Form(1, config.size(), config.parallel(), function(config), 1);
        Tensor value = scope.tensor(Memory.ADAPTER, projection.dtype(), form.down(), inputs(projection, config));
        Parameter down = train(scope, new Parameter(key + "down.weight", value));
        Parameter up = train(scope, up(scope, projection, config, key + "up.weight"));
        Tensor a = down.best().rows(0, config.size());
        Tensor gate = down.best().rows(config.size(), form.down());
        if (fromFile()) {
            read(down.name(), a);
            read(key + "gate.weight", gate);
            read(up.name(), up.best());
        } else {
            initialise(this, config, new Parameter(key, a), up);
            normal(gate, 0, DEVIATION);
        }
        down.refreshValue();
        up.refreshValue();
        return new Experts(scope, down, up, form, Router.sigmoid(scope, projection.dtype()), buffers());
    }

    @Override
    Map<String, Tensor> tensors() {
        if (!config.gated()) {
            return super.tensors();
        }
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        super.tensors().forEach((key, value) -> {
            boolean down = key.endsWith(".adapter_down.weight");
            tensors.put(key, down ? value.rows(0, config.size()) : value);
            if (down) {
                tensors.put(key.replace(".adapter_down.", ".adapter_gate."), value.rows(config.size(), value.size(0)));
            }
        });
        return tensors;
    }

    static void checkPlace(PeftBottleneckConfig config, String module) {
        boolean behind = Architecture.endsHalf(module);
        if (!config.parallel() && !behind) {
            throw new IllegalArgumentException(
                    "Bottleneck: target " + module + " is not supported in a serial adapter;"
                            + " supported are o_proj and down_proj, or what an architecture calls these, or use_parallel_adapter");
        }
    }

    static Activation.Kind function(PeftBottleneckConfig config) {
        return Activation.Kind.valueOf(config.nonLinearity().toUpperCase(Locale.ROOT));
    }

    private static long inputs(Projection projection, PeftBottleneckConfig config) {
        return config.parallel() ? projection.weight().k() : projection.weight().n();
    }

    /** A place for A [size, in], or [size, out] behind the projection. */
    static Parameter down(Scope scope, Projection projection, PeftBottleneckConfig config, String key) {
        long inputs = inputs(projection, config);
        return new Parameter(key, scope.tensor(Memory.ADAPTER, projection.dtype(), config.size(), inputs));
    }

    /** A place for B [out, size]. */
    static Parameter up(Scope scope, Projection projection, PeftBottleneckConfig config, String key) {
        long outputs = projection.weight().n();
        return new Parameter(key, scope.tensor(Memory.ADAPTER, projection.dtype(), outputs, config.size()));
    }

    /** Fresh values, from an adapter's next random numbers. */
    static void initialise(PeftAdapter<?> random, PeftBottleneckConfig config, Parameter down, Parameter up) {
        if (config.startsAtBase()) {
            random.kaiming(down.value().size(1)).accept(down.best());
            random.skip(up.best());
        } else {
            random.normal(down.best(), 0, DEVIATION);
            random.normal(up.best(), 0, DEVIATION);
        }
        down.refreshValue();
        up.refreshValue();
    }
}
