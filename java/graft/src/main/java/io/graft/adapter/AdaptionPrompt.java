package io.graft.adapter;

import io.graft.io.PeftAdaptionPromptConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.GatedPrompt;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.ops.Random;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * LLaMA-Adapter (arXiv 2303.16199) as PEFT configures and stores it: rows that the last layers attend to beside the sequence,
 * each layer's behind a gate of its own. Fresh rows are N(0, 1) and gates zero, so that step 0 is the base model.
 */
public final class AdaptionPrompt extends PeftAdapter<PeftAdaptionPromptConfig> {
    private final List<GatedPrompt> prompts = new ArrayList<>();

    private AdaptionPrompt(PeftAdaptionPromptConfig config, Origin origin) {
        super(config, origin);
    }

    /** Fresh rows, to be trained. */
    public static AdaptionPrompt create(PeftAdaptionPromptConfig config, long seed) {
        return new AdaptionPrompt(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static AdaptionPrompt load(Path directory) {
        return new AdaptionPrompt(PeftAdaptionPromptConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static AdaptionPrompt frozen(Path directory) {
        return new AdaptionPrompt(PeftAdaptionPromptConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    void attachFront(Adaptable model) {
        Scope scope = model.scope();
        int width = model.shape().hidden();
        for (int layer = config.firstLayer(model.layers()); layer < model.layers(); layer++) {
            String key = PREFIX + "model.layers." + layer + ".self_attn.adaption_";
            Tensor rows = scope.tensor(Memory.ADAPTER, model.dtype(), config.length(), width);
            Tensor gate = scope.tensor(Memory.ADAPTER, Precision.accumulator(model.dtype()), 1);
            if (fromFile()) {
                read(key + "prompt", rows.reshape(1, config.length(), width));
                read(key + "gate", gate);
            } else {
                long offset = FIRST_OFFSET + layer * rows.elements();
                Random.normal(scope.context(), seed, offset, 0, 1, rows);
            }
            Parameter prompt = train(scope, new Parameter(key + "prompt", rows));
            Parameter factor = train(scope, new Parameter(key + "gate", gate));
            GatedPrompt part = new GatedPrompt(scope, prompt, factor, model.shape(), model.attention(layer));
            model.attention(layer).attach(part);
            prompts.add(part);
        }
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        throw new IllegalStateException("gated prompts attach to no projection");
    }

    @Override
    public void changed() {
        for (int i = 0; i < prompts.size(); i++) {
            prompts.get(i).write();
        }
    }

    @Override
    Map<String, Tensor> tensors() {
        Map<String, Tensor> tensors = super.tensors();
        tensors.replaceAll((key, value) -> value.rank() == 2 ? value.reshape(1, value.size(0), value.size(1)) : value);
        return tensors;
    }

    /** Refused: what queries attend to beside the sequence is in no weight. */
    @Override
    public boolean mergeable() {
        return false;
    }
}
