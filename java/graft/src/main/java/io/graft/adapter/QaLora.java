package io.graft.adapter;

import io.graft.io.PeftQaLoraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.PooledLowRank;
import io.graft.nn.Projection;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * QA-LoRA (arXiv 2309.14717, section 3.3), as PEFT configures and stores it: LoRA whose A [r, in/g] sees sums of groups of g
 * inputs, so that its change is the same for all weights of a group, and a quantised base can take it up: here the tables of
 * sketches whose columns lie within groups, and dense weights. Fresh adapters start as the base model: B is zero.
 */
public final class QaLora extends PeftAdapter<PeftQaLoraConfig> {
    private QaLora(PeftQaLoraConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static QaLora create(PeftQaLoraConfig config, long seed) {
        return new QaLora(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static QaLora load(Path directory) {
        return new QaLora(PeftQaLoraConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static QaLora frozen(Path directory) {
        return new QaLora(PeftQaLoraConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    public boolean mergesIntoCodes() {
        return true;
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
        boolean random = config.initialisation().equals("false");
        Parameter down = parameter(scope, key + "A.weight", a, kaiming(a.size(1)));
        Parameter up = parameter(scope, key + "B.weight", b, random ? kaiming(rank) : PeftAdapter::zero);
        return new PooledLowRank(scope, down, up, config.scale(module), config.group(), projection.table(), buffers());
    }
}
