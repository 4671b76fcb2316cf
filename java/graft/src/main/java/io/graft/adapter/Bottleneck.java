package io.graft.adapter;

import io.graft.io.PeftBottleneckConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.SharedBuffers;
import io.graft.ops.Activation;
import io.graft.ops.Random;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Locale;

/**
 * Bottleneck adapters: a network of two narrow layers with an activation between them, behind the output projections of
 * attention and MLP (arXiv 1902.00751, figure 2) or beside any projection (arXiv 2110.04366, section 3.3), with a residual
 * connection. Fresh ones with {@code init_weights} mam_adapter start at the base model.
 *
 * <p>PEFT does not know them. The files are those of LLM-Adapters (arXiv 2304.01933), a fork of PEFT: type
 * {@code BOTTLENECK}, tensors {@code adapter_down.weight} [size, in] and {@code adapter_up.weight} [out, size].
 */
public final class Bottleneck extends PeftAdapter {
    private static final double BERT_DEVIATION = 0.02;

    private final PeftBottleneckConfig config;
    private final long seed;
    private long offset = Lora.FIRST_OFFSET;
    private SharedBuffers buffers;

    private Bottleneck(PeftBottleneckConfig config, long seed, Path source, boolean trained) {
        super(config, source, trained);
        this.config = config;
        this.seed = seed;
    }

    /** Fresh networks, to be trained. */
    public static Bottleneck create(PeftBottleneckConfig config, long seed) {
        return new Bottleneck(config, seed, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static Bottleneck load(Path directory) {
        return new Bottleneck(PeftBottleneckConfig.read(directory), 0, directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static Bottleneck frozen(Path directory) {
        return new Bottleneck(PeftBottleneckConfig.read(directory), 0, directory, false);
    }

    @Override
    public boolean mergeable() {
        return false;
    }

    @Override
    public int border(String module) {
        return 0;
    }

    @Override
    boolean servesCodes(String module) {
        return true;
    }

    @Override
    void attachFront(Adaptable model) {
        buffers = new SharedBuffers(model.scope());
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String module = projection.module();
        boolean behind = module.endsWith(".o_proj") || module.endsWith(".down_proj");
        if (!config.parallel() && !behind) {
            throw new IllegalArgumentException("Bottleneck: target " + module + " is not supported in a serial adapter;"
                    + " supported are o_proj and down_proj, or use_parallel_adapter");
        }
        long n = projection.weight().n();
        long inputs = config.parallel() ? projection.weight().k() : n;
        String key = PREFIX + module + ".adapter_";
        Parameter down = parameter(scope, projection, key + "down.weight", config.size(), inputs);
        Parameter up = parameter(scope, projection, key + "up.weight", n, config.size());
        if (!fromFile()) {
            initialise(scope.context(), down, up);
        }
        down.refreshValue();
        up.refreshValue();
        Activation.Kind kind = Activation.Kind.valueOf(config.nonLinearity().toUpperCase(Locale.ROOT));
        return new io.graft.nn.Bottleneck(scope, down, up, kind, config.parallel(), buffers);
    }

    private Parameter parameter(Scope scope, Projection projection, String key, long rows, long columns) {
        Tensor value = scope.tensor(Memory.ADAPTER, projection.dtype(), rows, columns);
        Parameter parameter = train(scope, new Parameter(key, value));
        if (fromFile()) {
            read(key, parameter.best());
        }
        return parameter;
    }

    private void initialise(Context context, Parameter down, Parameter up) {
        if (config.startsAtBase()) {
            double bound = 1 / Math.sqrt(down.value().size(1));
            Random.uniform(context, seed, offset, -bound, bound, down.best());
        } else {
            Random.normal(context, seed, offset, 0, BERT_DEVIATION, down.best());
            long next = offset + down.value().elements();
            Random.normal(context, seed, next, 0, BERT_DEVIATION, up.best());
        }
        offset += down.value().elements() + up.value().elements();
    }
}
