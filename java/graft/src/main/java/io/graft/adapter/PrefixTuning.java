package io.graft.adapter;

import io.graft.io.PeftPrefixTuningConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Prefix;
import io.graft.ops.Random;
import java.nio.file.Path;

/**
 * Prefix tuning (arXiv 2101.00190) as PEFT configures and stores it, without the reparametrising network: keys and values
 * that stand before every sequence in each layer are all that is trained. Fresh ones are N(0, 1).
 */
public final class PrefixTuning extends PeftFrontAdapter {
    private final PeftPrefixTuningConfig config;
    private final long seed;
    private Prefix prefix;

    private PrefixTuning(PeftPrefixTuningConfig config, long seed, Path source, boolean trained) {
        super(config, source, trained);
        this.config = config;
        this.seed = seed;
    }

    /** A fresh prefix, to be trained. */
    public static PrefixTuning create(PeftPrefixTuningConfig config, long seed) {
        return new PrefixTuning(config, seed, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static PrefixTuning load(Path directory) {
        return new PrefixTuning(PeftPrefixTuningConfig.read(directory), 0, directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static PrefixTuning frozen(Path directory) {
        return new PrefixTuning(PeftPrefixTuningConfig.read(directory), 0, directory, false);
    }

    @Override
    void attachFront(Adaptable model) {
        int width = model.shape().keyWidth();
        config.fit(model.layers(), model.shape().kvHeads(), width);
        Parameter rows = rows(
                model.scope(),
                Precision.accumulator(model.dtype()),
                config.virtualTokens(),
                model.layers() * 2L * width);
        if (!fromFile()) {
            Random.normal(model.scope().context(), seed, Lora.FIRST_OFFSET, 0, 1, rows.value());
        }
        prefix = new Prefix(rows, model.shape());
    }

    @Override
    public Prefix prefix() {
        return prefix;
    }
}
