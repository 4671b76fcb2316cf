package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.DerivedLowRank;
import io.graft.nn.LowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.ScaledRows;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;

/**
 * LoRA whose terms have a factor each, {@code W + scale · B diag(e) A}, which sets the methods apart that choose ranks while
 * they train. Fresh adapters start as LoRA does: B is zero and A uniform in ±1/√in. Files are plain LoRA, which {@link Lora}
 * reads.
 */
abstract class LoraTerms extends PeftAdapter<PeftLoraConfig> {
    /**
     * A part of a projection.
     *
     * @param a [r, in]
     * @param b [out, r]
     * @param factors e [r]
     * @param product diag(e) A
     */
    record Terms(Parameter a, Parameter b, Parameter factors, ScaledRows product) {}

    LoraTerms(PeftLoraConfig config, long seed) {
        super(config, Origin.fresh(seed));
        if (config.weightDecomposed()) {
            throw new IllegalArgumentException(getClass().getSimpleName() + ": use_dora has no factors of terms");
        }
    }

    /** Fills e [r] and says whether it is trained. */
    abstract boolean start(Tensor factors);

    /** Makes the attachment of a projection's terms. */
    abstract Attachment attachment(Projection projection, Terms terms);

    @Override
    public int border(String module) {
        return config.targets(module) ? config.rank(module) : 0;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module() + ".lora_";
        long inputs = projection.weight().k();
        int rank = config.rank(projection.module());
        Parameter down = parameter(scope, key + "A.weight", wide(scope, projection, rank, inputs), kaiming(inputs));
        Tensor e = wide(scope, projection, rank, 1).reshape(rank);
        Parameter up = train(
                scope,
                new Parameter(
                        key + "B.weight",
                        wide(scope, projection, projection.weight().n(), rank)));
        Parameter factors = new Parameter(key + "E", e);
        if (start(e)) {
            train(scope, factors);
        }
        Parameter product = new Parameter(key + "EA", wide(scope, projection, rank, inputs));
        return attachment(projection, new Terms(down, up, factors, ScaledRows.of(product, down, factors)));
    }

    /** The low-rank part of a projection with a factor for each term. */
    final DerivedLowRank scaled(Projection projection, Terms terms) {
        return new DerivedLowRank(lowRank(projection, terms.product().product(), terms.b()), List.of(terms.product()));
    }

    final LowRank lowRank(Projection projection, Parameter a, Parameter b) {
        String module = projection.module();
        return new LowRank(a, b, config.scale(module), config.dropout(), Lora.mix(module.hashCode()));
    }
}
