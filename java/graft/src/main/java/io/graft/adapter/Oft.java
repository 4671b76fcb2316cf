package io.graft.adapter;

import io.graft.io.PeftOftConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.Rotation;
import io.graft.nn.SharedBuffers;
import io.graft.nn.SharedGradients;
import io.graft.ops.Random;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * OFT (arXiv 2306.07280), as PEFT configures and stores it: the inputs of a layer are rotated in blocks of n, {@code y = (x
 * R) Wᵀ}, and trained are the n·(n-1)/2 entries of the skew-symmetric matrix that Cayley's transform makes a block of R
 * from. Over codes it is QOFT (arXiv 2506.19847). Fresh adapters start as the base model: R is I.
 */
public final class Oft extends PeftAdapter {
    private static final double DEVIATION = 0.1;

    private final PeftOftConfig config;
    private final long seed;
    private long offset = Lora.FIRST_OFFSET;
    private SharedBuffers buffers;
    private SharedGradients gradients;

    private Oft(PeftOftConfig config, long seed, Path source, boolean trained) {
        super(config, source, trained);
        this.config = config;
        this.seed = seed;
    }

    /** A fresh adapter, to be trained. */
    public static Oft create(PeftOftConfig config, long seed) {
        return new Oft(config, seed, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static Oft load(Path directory) {
        return new Oft(PeftOftConfig.read(directory), 0, directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static Oft frozen(Path directory) {
        return new Oft(PeftOftConfig.read(directory), 0, directory, false);
    }

    @Override
    boolean servesCodes(String module) {
        return true;
    }

    @Override
    void attachFront(Adaptable model) {
        buffers = new SharedBuffers(model.scope());
        gradients = new SharedGradients(model.scope());
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module() + ".oft_R.weight";
        long inputs = projection.weight().k();
        int size = config.blockSize(inputs);
        Tensor entries = wide(scope, projection, config.shared() ? 1 : inputs / size, size * (size - 1) / 2);
        if (fromFile()) {
            read(key, entries);
        } else if (!config.startsAtBase()) {
            Random.normal(scope.context(), seed, offset, 0, DEVIATION, entries);
            offset += entries.elements();
        }
        Parameter parameter = train(scope, new Parameter(key, entries));
        return new Rotation(scope, parameter, size, config.terms(), buffers, gradients);
    }

    public PeftOftConfig config() {
        return config;
    }
}
