package io.graft.adapter;

import io.graft.io.PeftHiraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.HadamardScale;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.ops.Random;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * HiRA (ICLR 2025, section 3), as PEFT configures and stores it: {@code W ⊙ (1 + B A)}, which unlike {@code B A} may have any
 * rank. The product is made in panels ({@link io.graft.ops.Hira}), so that a step costs what full fine-tuning's does, and keeps no
 * matrix. Fresh adapters start as the base model: B is zero.
 */
public final class Hira extends PeftAdapter {
    private final PeftHiraConfig config;
    private final long seed;
    private long offset = Lora.FIRST_OFFSET;

    private Hira(PeftHiraConfig config, long seed, Path source, boolean trained) {
        super(config, source, trained);
        this.config = config;
        this.seed = seed;
    }

    /** A fresh adapter, to be trained. */
    public static Hira create(PeftHiraConfig config, long seed) {
        return new Hira(config, seed, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static Hira load(Path directory) {
        return new Hira(PeftHiraConfig.read(directory), 0, directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static Hira frozen(Path directory) {
        return new Hira(PeftHiraConfig.read(directory), 0, directory, false);
    }

    @Override
    boolean servesCodes(String module) {
        return true;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module() + ".hira_";
        long inputs = projection.weight().k();
        long outputs = projection.weight().n();
        // why: PEFT 0.21 writes rank_pattern into its files, but gives every module the rank r.
        long rank = fromFile() ? shapeInFile(key + "A")[0] : config.rank(projection.module());
        Tensor a = wide(scope, projection, rank, inputs);
        Tensor b = wide(scope, projection, outputs, rank);
        if (fromFile()) {
            read(key + "A", a);
            read(key + "B", b);
        } else {
            initialise(a, b);
        }
        return HadamardScale.of(train(scope, new Parameter(key + "A", a)), train(scope, new Parameter(key + "B", b)));
    }

    /** B stays zero, but where both are random; then they are as wide as PEFT's. */
    private void initialise(Tensor a, Tensor b) {
        Context context = a.scope().context();
        switch (config.initialisation()) {
            case "gaussian" -> Random.normal(context, seed, offset, 0, 1.0 / a.size(0), a);
            case "false" -> {
                Random.normal(context, seed, offset, 0, 1, a);
                Random.normal(context, seed, offset + a.elements(), 0, 1, b);
            }
            default -> {
                double bound = 1 / Math.sqrt(a.size(1));
                Random.uniform(context, seed, offset, -bound, bound, a);
            }
        }
        offset += a.elements() + b.elements();
    }

    public PeftHiraConfig config() {
        return config;
    }
}
