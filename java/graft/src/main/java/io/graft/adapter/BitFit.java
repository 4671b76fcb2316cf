package io.graft.adapter;

import io.graft.io.PeftBitFitConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Bias;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.ops.TensorOps;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * BitFit (arXiv 2106.10199): only biases are trained. A target without one gets one that starts at zero; where the base
 * model has one, a copy of it is trained.
 *
 * <p>PEFT does not know this method. The files are like PEFT's: {@code adapter_config.json} with the type {@code BITFIT},
 * and {@code base_model.model.<module>.bias} [out] for each target.
 */
public final class BitFit extends PrunedAdapter<PeftBitFitConfig> {
    private static final int CUTS = 5;

    private BitFit(PeftBitFitConfig config, Origin origin) {
        super(config, origin);
    }

    /** Fresh biases, to be trained. */
    public static BitFit create(PeftBitFitConfig config) {
        return new BitFit(config, Origin.fresh(0));
    }

    /** An adapter from a directory, to be trained further. */
    public static BitFit load(Path directory) {
        return new BitFit(PeftBitFitConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static BitFit frozen(Path directory) {
        return new BitFit(PeftBitFitConfig.read(directory), Origin.of(directory, false));
    }

    /**
     * Gives up biases that matter least in the first half of training, in five cuts (arXiv 2305.16597, section 3): single
     * numbers (U-BitFit), or the biases of modules whole (S-BitFit). They stay zero.
     *
     * @param share of all biases that is left
     */
    public BitFit withPruning(double share, boolean whole) {
        prune(new ElementPruner.Plan(share, CUTS, whole));
        return this;
    }

    @Override
    public boolean mergeable() {
        return false;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module() + ".bias";
        Tensor bias = scope.tensor(
                Memory.ADAPTER,
                Precision.accumulator(projection.dtype()),
                projection.weight().n());
        if (pruned() && projection.bias() != null) {
            throw new IllegalArgumentException("BitFit: " + projection.module()
                    + " has a bias of its own, which pruning would set to zero; train it without pruning");
        }
        Parameter trained = parameter(scope, key, bias, value -> {
            if (projection.bias() != null) {
                TensorOps.copy(scope.context(), projection.bias().value(), value);
            }
        });
        prunable(scope, trained);
        return new Bias(trained);
    }
}
