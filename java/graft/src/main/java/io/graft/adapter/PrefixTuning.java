package io.graft.adapter;

import io.graft.io.PeftPrefixTuningConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Prefix;
import io.graft.nn.PromptEncoder;
import io.graft.ops.Activation;
import io.graft.ops.Random;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Map;

/**
 * Prefix tuning (arXiv 2101.00190), or P-tuning v2 (arXiv 2110.07602), as PEFT configures and stores it: keys and values that
 * stand before every sequence in each layer are all that is trained. Fresh ones are N(0, 1), or made by a network, the
 * reparametrisation: a file holds what it makes, and training goes on from there without it.
 */
public final class PrefixTuning extends PeftFrontAdapter {
    private final PeftPrefixTuningConfig config;
    private final long seed;
    private PromptEncoder encoder;
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
        int inner = config.fitEncoder(model.layers(), model.shape().kvHeads(), width);
        if (config.projected() && !fromFile()) {
            encoder = encoder(
                    model.scope(),
                    Precision.accumulator(model.dtype()),
                    seed,
                    config.virtualTokens(),
                    "transform.",
                    Activation.Kind.TANH,
                    width,
                    inner,
                    model.layers() * 2 * width);
            prefix = new Prefix(encoder, model.shape());
            return;
        }
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
    public void changed() {
        if (encoder != null) {
            encoder.forward();
        }
    }

    @Override
    public Prefix prefix() {
        return prefix;
    }

    @Override
    Map<String, Tensor> tensors() {
        return encoder == null ? super.tensors() : Map.of(KEY, encoder.rows());
    }
}
