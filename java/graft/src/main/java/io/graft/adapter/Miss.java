package io.graft.adapter;

import io.graft.io.PeftMissConfig;
import io.graft.nn.Attachment;
import io.graft.nn.LowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * MiSS, first called Bone (arXiv 2409.15371, section 3), as PEFT configures and stores it: {@code W + B A} with a fixed A
 * that adds up every r-th input, {@code A[i, k] = 1} where k mod r = i and else 0, so that only B [out, r] is trained, no
 * layer's input is kept, and the scale is 1. Fresh adapters start as the base model: B is zero.
 *
 * <p>Files hold Bᵀ as {@code miss_block} [r, out]. Where r does not divide the inputs the last sum is short, as if the
 * inputs went on with zeros.
 */
public final class Miss extends PeftAdapter<PeftMissConfig> {
    private static final String BLOCK = ".miss_block";

    private final Map<Long, Parameter> sums = new HashMap<>();

    private Miss(PeftMissConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static Miss create(PeftMissConfig config, long seed) {
        return new Miss(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Miss load(Path directory) {
        return new Miss(PeftMissConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Miss frozen(Path directory) {
        return new Miss(PeftMissConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    public int border(String module) {
        return config.targets(module) ? config.rank() : 0;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String module = projection.module();
        String key = PREFIX + module + BLOCK;
        long inputs = projection.weight().k();
        long outputs = projection.weight().n();
        if (config.rank() > inputs) {
            throw new IllegalArgumentException(
                    "Miss: r is " + config.rank() + ", more than the " + inputs + " inputs of " + module);
        }
        Tensor b = wide(scope, projection, outputs, config.rank());
        if (fromFile()) {
            readTransposed(key, b);
        } else if (!config.startsAtBase()) {
            kaiming(outputs).accept(b);
        }
        return new LowRank(
                sums.computeIfAbsent(inputs, width -> sums(wide(scope, projection, config.rank(), width))),
                train(scope, storedTransposed(new Parameter(key, b))),
                1,
                config.dropout(),
                Lora.mix(module.hashCode()));
    }

    /** A: all layers of as many inputs share it. */
    private static Parameter sums(Tensor a) {
        int rank = (int) a.size(0);
        int inputs = (int) a.size(1);
        float[] ones = new float[rank * inputs];
        for (int k = 0; k < inputs; k++) {
            ones[k % rank * inputs + k] = 1;
        }
        return new Parameter("sums of every " + rank + "th of " + inputs + " inputs", a.set(ones));
    }
}
