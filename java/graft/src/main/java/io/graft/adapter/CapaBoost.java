package io.graft.adapter;

import io.graft.io.PeftCapaBoostConfig;
import io.graft.nn.Attachment;
import io.graft.nn.DerivedLowRank;
import io.graft.nn.LowRank;
import io.graft.nn.MaskedCopies;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.List;

/**
 * CapaBoost over LoRA (arXiv 2402.15082, section 3): {@code W + alpha/r · Σ_i (B ⊙ N_i)(A ⊙ M_i)}, one pair of factors in
 * several copies, each under random masks of its own that stay, so that the sum has more rank than there are numbers for.
 * It is LoRA over the masked copies below and beside each other. Fresh adapters start as the base model: B is zero.
 *
 * <p>PEFT does not know it. A file holds A and B as LoRA's does, and the configuration the seed of the masks.
 */
public final class CapaBoost extends PeftAdapter<PeftCapaBoostConfig> {
    private CapaBoost(PeftCapaBoostConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static CapaBoost create(PeftCapaBoostConfig config, long seed) {
        return new CapaBoost(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static CapaBoost load(Path directory) {
        return new CapaBoost(PeftCapaBoostConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static CapaBoost frozen(Path directory) {
        return new CapaBoost(PeftCapaBoostConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    public int border(String module) {
        return config.targets(module) ? config.copies() * config.rank() : 0;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module() + ".lora_";
        long inputs = projection.weight().k();
        int rank = config.rank();
        Tensor down = wide(scope, projection, rank, inputs);
        Tensor up = wide(scope, projection, projection.weight().n(), rank);
        MaskedCopies a = masked(scope, projection, parameter(scope, key + "A.weight", down, kaiming(inputs)), false);
        MaskedCopies b = masked(scope, projection, parameter(scope, key + "B.weight", up, PeftAdapter::zero), true);
        long module = Lora.mix(projection.module().hashCode());
        double both = config.keep() * config.keep(); // kept elements of either are 1 / keep times as large
        LowRank low = new LowRank(a.product(), b.product(), config.scale() * both, config.dropout(), module);
        return new DerivedLowRank(low, List.of(a, b));
    }

    /** Modules and factors have masks of their own. */
    private MaskedCopies masked(Scope scope, Projection projection, Parameter factor, boolean beside) {
        long stream = config.maskSeed() ^ Lora.mix(projection.module().hashCode() * 2L + (beside ? 1 : 0));
        return new MaskedCopies(scope, factor, config.copies(), beside, stream, config.keep(), gradients());
    }
}
