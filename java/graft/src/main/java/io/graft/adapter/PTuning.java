package io.graft.adapter;

import io.graft.io.PeftPromptEncoderConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Precision;
import io.graft.nn.Prompt;
import io.graft.nn.PromptEncoder;
import io.graft.ops.Activation;
import io.graft.tensor.DType;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Map;

/**
 * P-tuning (arXiv 2103.10385) as PEFT configures and stores it: virtual tokens before every sequence, made by a network of
 * three linear layers out of an embedding. Network and embedding are trained; a file holds what they make, so that an adapter
 * from a file is a prompt that can be used and not trained further.
 */
public final class PTuning extends PeftFrontAdapter<PeftPromptEncoderConfig> {
    private PromptEncoder encoder;
    private Prompt prompt;

    private PTuning(PeftPromptEncoderConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh encoder, to be trained. */
    public static PTuning create(PeftPromptEncoderConfig config, long seed) {
        return new PTuning(config, Origin.fresh(seed));
    }

    /** Refused: a directory holds no encoder. */
    static Adapter load(Path directory) {
        throw new IllegalArgumentException(
                directory + " holds what an encoder made and not the encoder: it cannot be trained");
    }

    /** What an encoder made, from a directory. */
    public static PTuning frozen(Path directory) {
        return new PTuning(PeftPromptEncoderConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    void attachFront(Adaptable model) {
        int width = model.shape().hidden();
        DType dtype = Precision.accumulator(model.dtype());
        int inner = config.fitEncoder(model.layers(), model.shape().heads(), width);
        if (fromFile()) {
            prompt = new Prompt(rows(model.scope(), dtype, config.virtualTokens(), width));
            return;
        }
        encoder = encoder(
                model.scope(),
                dtype,
                config.virtualTokens(),
                "mlp_head.",
                Activation.Kind.RELU,
                width,
                inner,
                inner,
                width);
        prompt = new Prompt(encoder);
    }

    @Override
    public void changed() {
        if (encoder != null) {
            encoder.forward();
        }
    }

    @Override
    public Prompt prompt() {
        return prompt;
    }

    @Override
    Map<String, Tensor> tensors() {
        return encoder == null ? super.tensors() : Map.of(KEY, encoder.rows());
    }
}
