package io.graft.adapter;

import io.graft.io.PeftPrefixTuningConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Prefix;
import io.graft.nn.PromptEncoder;
import io.graft.ops.Activation;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Map;

/**
 * Prefix tuning (arXiv 2101.00190), or P-tuning v2 (arXiv 2110.07602), as PEFT configures and stores it: keys and values that
 * stand before every sequence in each layer are all that is trained. Fresh ones are N(0, 1), or made by a network, the
 * reparametrisation: a file holds what it makes, and training goes on from there without it.
 */
public final class PrefixTuning extends PeftFrontAdapter<PeftPrefixTuningConfig> {
    private PromptEncoder encoder;
    private Prefix prefix;

    private PrefixTuning(PeftPrefixTuningConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh prefix, to be trained. */
    public static PrefixTuning create(PeftPrefixTuningConfig config, long seed) {
        return new PrefixTuning(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static PrefixTuning load(Path directory) {
        return new PrefixTuning(PeftPrefixTuningConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static PrefixTuning frozen(Path directory) {
        return new PrefixTuning(PeftPrefixTuningConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    void attachFront(Adaptable model) {
        int width = model.shape().keyWidth();
        int inner = config.fitEncoder(model.layers(), model.shape().kvHeads(), width);
        if (config.projected() && !fromFile()) {
            encoder = encoder(
                    model.scope(),
                    Precision.accumulator(model.dtype()),
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
            normal(rows.value(), 0, 1);
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
