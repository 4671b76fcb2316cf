package io.graft.adapter;

import io.graft.io.PeftPromptEncoderConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Prompt;
import io.graft.nn.PromptEncoder;
import io.graft.ops.Random;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * P-tuning (arXiv 2103.10385) as PEFT configures and stores it: virtual tokens before every sequence, made by a network of
 * three linear layers out of an embedding. Network and embedding are trained; a file holds what they make, so that an adapter
 * from a file is a prompt that can be used and not trained further.
 */
public final class PTuning extends PeftFrontAdapter {
    private static final String ENCODER = "prompt_encoder.";

    private final PeftPromptEncoderConfig config;
    private final long seed;
    private long offset = Lora.FIRST_OFFSET;
    private PromptEncoder encoder;
    private Prompt prompt;

    private PTuning(PeftPromptEncoderConfig config, long seed, Path source, boolean trained) {
        super(config, source, trained);
        this.config = config;
        this.seed = seed;
    }

    /** A fresh encoder, to be trained. */
    public static PTuning create(PeftPromptEncoderConfig config, long seed) {
        return new PTuning(config, seed, null, true);
    }

    /** What an encoder made, from a directory. */
    public static PTuning frozen(Path directory) {
        return new PTuning(PeftPromptEncoderConfig.read(directory), 0, directory, false);
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
        Scope scope = model.scope();
        Tensor start = scope.tensor(Memory.ADAPTER, dtype, config.virtualTokens(), width);
        Random.normal(scope.context(), seed, offset, 0, 1, start);
        offset += start.elements();
        Parameter embedding = train(scope, new Parameter(ENCODER + "embedding.weight", start));
        List<Parameter> layers = new ArrayList<>();
        int[] widths = {width, inner, inner, width};
        for (int i = 0; i < 3; i++) {
            String name = ENCODER + "mlp_head." + 2 * i;
            layers.add(uniform(scope, dtype, name + ".weight", widths[i], widths[i + 1], widths[i]));
            layers.add(uniform(scope, dtype, name + ".bias", widths[i], widths[i + 1]));
        }
        encoder = new PromptEncoder(scope, embedding, layers);
        prompt = new Prompt(encoder);
    }

    /** PyTorch's start of a linear layer: uniform in ±1/√inputs. */
    private Parameter uniform(Scope scope, DType dtype, String name, int inputs, long... shape) {
        Tensor value = scope.tensor(Memory.ADAPTER, dtype, shape);
        double bound = 1 / Math.sqrt(inputs);
        Random.uniform(scope.context(), seed, offset, -bound, bound, value);
        offset += value.elements();
        return train(scope, new Parameter(name, value));
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
