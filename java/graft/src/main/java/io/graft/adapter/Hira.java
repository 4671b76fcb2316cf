package io.graft.adapter;

import io.graft.io.PeftHiraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.HadamardScale;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * HiRA (ICLR 2025, section 3), as PEFT configures and stores it: {@code W ⊙ (1 + B A)}, which unlike {@code B A} may have any
 * rank. The product is made in panels ({@link io.graft.ops.Hira}), so that a step costs what full fine-tuning's does, and keeps no
 * matrix. Fresh adapters start as the base model: B is zero.
 */
public final class Hira extends PeftAdapter<PeftHiraConfig> {
    private Hira(PeftHiraConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static Hira create(PeftHiraConfig config, long seed) {
        return new Hira(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Hira load(Path directory) {
        return new Hira(PeftHiraConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Hira frozen(Path directory) {
        return new Hira(PeftHiraConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module() + ".hira_";
        long inputs = projection.weight().k();
        long outputs = projection.weight().n();
        // why: PEFT 0.21 writes rank_pattern into its files, but gives every module the rank r.
        long rank = fromFile() ? shapeInFile(key + "A")[0] : config.rank(projection.module());
        Parameter a = parameter(scope, key + "A", wide(scope, projection, rank, inputs), this::down);
        return HadamardScale.of(a, parameter(scope, key + "B", wide(scope, projection, outputs, rank), this::up));
    }

    /** Where both are random they are as wide as PEFT's. */
    private void down(Tensor a) {
        switch (config.initialisation()) {
            case "gaussian" -> normal(a, 0, 1.0 / a.size(0));
            case "false" -> normal(a, 0, 1);
            default -> kaiming(a.size(1)).accept(a);
        }
    }

    private void up(Tensor b) {
        if (config.initialisation().equals("false")) {
            normal(b, 0, 1);
        } else {
            skip(b);
        }
    }
}
