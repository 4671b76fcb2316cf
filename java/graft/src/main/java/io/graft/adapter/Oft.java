package io.graft.adapter;

import io.graft.io.PeftOftConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.Rotation;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * OFT (arXiv 2306.07280), as PEFT configures and stores it: the inputs of a layer are rotated in blocks of n, {@code y = (x
 * R) Wᵀ}, and trained are the n·(n-1)/2 entries of the skew-symmetric matrix that Cayley's transform makes a block of R
 * from. Over codes it is QOFT (arXiv 2506.19847). Fresh adapters start as the base model: R is I.
 */
public final class Oft extends PeftAdapter<PeftOftConfig> {
    private static final double DEVIATION = 0.1;

    private Oft(PeftOftConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static Oft create(PeftOftConfig config, long seed) {
        return new Oft(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Oft load(Path directory) {
        return new Oft(PeftOftConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Oft frozen(Path directory) {
        return new Oft(PeftOftConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module() + ".oft_R.weight";
        long inputs = projection.weight().k();
        int size = config.blockSize(inputs);
        Tensor entries = wide(scope, projection, config.shared() ? 1 : inputs / size, size * (size - 1) / 2);
        Parameter parameter =
                parameter(scope, key, entries, config.startsAtBase() ? PeftAdapter::zero : normal(DEVIATION));
        return new Rotation(scope, parameter, size, config.terms(), buffers(), gradients());
    }
}
