package io.graft.adapter;

import io.graft.io.PeftHiwiConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.AdaptedWeight;
import io.graft.nn.Attachment;
import io.graft.nn.DerivedLowRank;
import io.graft.nn.LowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.SharedGradients;
import io.graft.ops.Activation;
import io.graft.ops.Random;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/**
 * HiWi (arXiv 2305.16742, section 3.2): an adapter of the weight and not of the activations, {@code W + f(W D) U}. f(W D) [out,
 * r] is made once after each optimiser step, and then stands for LoRA's B, so that a pass costs what LoRA's does and merging
 * leaves nothing behind. PEFT does not know it. Fresh adapters start as the base model: U is zero.
 */
public final class Hiwi extends PeftAdapter {
    private final PeftHiwiConfig config;
    private final long seed;
    private long offset = Lora.FIRST_OFFSET;
    private SharedGradients gradients;

    private Hiwi(PeftHiwiConfig config, long seed, Path source, boolean trained) {
        super(config, source, trained);
        this.config = config;
        this.seed = seed;
    }

    /** A fresh adapter, to be trained. */
    public static Hiwi create(PeftHiwiConfig config, long seed) {
        return new Hiwi(config, seed, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static Hiwi load(Path directory) {
        return new Hiwi(PeftHiwiConfig.read(directory), 0, directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static Hiwi frozen(Path directory) {
        return new Hiwi(PeftHiwiConfig.read(directory), 0, directory, false);
    }

    @Override
    public int border(String module) {
        return config.targets(module) ? config.rank() : 0;
    }

    @Override
    boolean servesCodes(String module) {
        return true;
    }

    @Override
    void attachFront(Adaptable model) {
        gradients = new SharedGradients(model.scope());
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module() + ".hiwi_";
        long inputs = projection.weight().k();
        int rank = config.rank();
        Parameter down = train(
                scope, new Parameter(key + "down", scope.tensor(Memory.ADAPTER, projection.dtype(), rank, inputs)));
        Tensor u = wide(scope, projection, rank, inputs);
        if (fromFile()) {
            read(key + "down", down.best());
            read(key + "up", u);
        } else {
            Random.normal(scope.context(), seed, offset, 0, 1, down.best());
            offset += u.elements();
        }
        down.refreshValue();
        Activation.Kind kind = Activation.Kind.valueOf(config.nonLinearity().toUpperCase(Locale.ROOT));
        AdaptedWeight adapted = new AdaptedWeight(scope, down, projection.weight(), kind, gradients);
        Parameter up = train(scope, new Parameter(key + "up", u));
        return new DerivedLowRank(new LowRank(up, adapted.product(), 1, 0, 0), List.of(adapted));
    }

    public PeftHiwiConfig config() {
        return config;
    }
}
