package io.graft.adapter;

import io.graft.io.PeftHiwiConfig;
import io.graft.nn.AdaptedWeight;
import io.graft.nn.Attachment;
import io.graft.nn.DerivedLowRank;
import io.graft.nn.LowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.ops.Activation;
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
public final class Hiwi extends PeftAdapter<PeftHiwiConfig> {
    private Hiwi(PeftHiwiConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static Hiwi create(PeftHiwiConfig config, long seed) {
        return new Hiwi(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Hiwi load(Path directory) {
        return new Hiwi(PeftHiwiConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Hiwi frozen(Path directory) {
        return new Hiwi(PeftHiwiConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    public int border(String module) {
        return config.targets(module) ? config.rank() : 0;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module() + ".hiwi_";
        long inputs = projection.weight().k();
        int rank = config.rank();
        Tensor narrow = scope.tensor(Memory.ADAPTER, projection.dtype(), rank, inputs);
        Parameter down = parameter(scope, key + "down", narrow, normal(1));
        Activation.Kind kind = Activation.Kind.valueOf(config.nonLinearity().toUpperCase(Locale.ROOT));
        AdaptedWeight adapted = new AdaptedWeight(scope, down, projection.weight(), kind, gradients());
        Parameter up = parameter(scope, key + "up", wide(scope, projection, rank, inputs), PeftAdapter::zero);
        return new DerivedLowRank(new LowRank(up, adapted.product(), 1, 0, 0), List.of(adapted));
    }
}
