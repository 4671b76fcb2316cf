package io.graft.adapter;

import io.graft.io.PeftQaLoraConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.PooledLowRank;
import io.graft.nn.Projection;
import io.graft.nn.SharedBuffers;
import io.graft.ops.Random;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * QA-LoRA (arXiv 2309.14717, section 3.3), as PEFT configures and stores it: LoRA whose A [r, in/g] sees sums of groups of g
 * inputs, so that its change is the same for all weights of a group, and a quantised base can take it up: here the tables of
 * sketches whose columns lie within groups, and dense weights. Fresh adapters start as the base model: B is zero.
 */
public final class QaLora extends PeftAdapter {
    private final PeftQaLoraConfig config;
    private final long seed;
    private long offset = Lora.FIRST_OFFSET;
    private SharedBuffers buffers;

    private QaLora(PeftQaLoraConfig config, long seed, Path source, boolean trained) {
        super(config, source, trained);
        this.config = config;
        this.seed = seed;
    }

    /** A fresh adapter, to be trained. */
    public static QaLora create(PeftQaLoraConfig config, long seed) {
        return new QaLora(config, seed, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static QaLora load(Path directory) {
        return new QaLora(PeftQaLoraConfig.read(directory), 0, directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static QaLora frozen(Path directory) {
        return new QaLora(PeftQaLoraConfig.read(directory), 0, directory, false);
    }

    @Override
    boolean servesCodes(String module) {
        return true;
    }

    @Override
    public boolean mergesIntoCodes() {
        return true;
    }

    @Override
    void attachFront(Adaptable model) {
        buffers = new SharedBuffers(model.scope());
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String module = projection.module();
        String key = PREFIX + module + ".lora_";
        long inputs = projection.weight().k();
        if (inputs % config.group() != 0) {
            throw new IllegalArgumentException(
                    "QaLora: groups of " + config.group() + " do not divide the " + inputs + " inputs of " + module);
        }
        int rank = config.rank(module);
        Tensor a = wide(scope, projection, rank, inputs / config.group());
        Tensor b = wide(scope, projection, projection.weight().n(), rank);
        if (fromFile()) {
            read(key + "A.weight", a);
            read(key + "B.weight", b);
        } else {
            uniform(a);
            if (config.initialisation().equals("false")) {
                uniform(b);
            }
        }
        Parameter down = train(scope, new Parameter(key + "A.weight", a));
        Parameter up = train(scope, new Parameter(key + "B.weight", b));
        return new PooledLowRank(scope, down, up, config.scale(module), config.group(), projection.table(), buffers);
    }

    /** Kaiming's bound for a = √5. */
    private void uniform(Tensor value) {
        double bound = 1 / Math.sqrt(value.size(1));
        Random.uniform(value.scope().context(), seed, offset, -bound, bound, value);
        offset += value.elements();
    }

    public PeftQaLoraConfig config() {
        return config;
    }
}
