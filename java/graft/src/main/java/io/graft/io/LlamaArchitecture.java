package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.io.DecoderDesign.Part;
import java.util.List;
import java.util.Set;

/**
 * Llama (arXiv 2302.13971, 2307.09288, 2407.21783): RMS norms, half-split rotary embedding, a gated MLP, and no
 * bias unless the configuration has some.
 */
final class LlamaArchitecture extends Architecture {
    LlamaArchitecture() {
        super("llama", "LlamaForCausalLM", ModuleNames.LLAMA);
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        Set<Part> parts = reader.attentionBiases();
        if (reader.flag("mlp_bias")) {
            parts.add(Part.MLP_BIASES);
        }
        return reader.decoder(LlamaConfigReader.Defaults.LLAMA, DecoderDesign.of(this, parts.toArray(Part[]::new)));
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        json.put("hidden_act", "silu").put("initializer_range", 0.02).put("rms_norm_eps", config.rmsNormEps());
        json.put("attention_bias", config.design().has(Part.INPUT_BIASES));
        json.put("mlp_bias", config.design().has(Part.MLP_BIASES)).put("pretraining_tp", 1);
        json.put("head_dim", config.headDim());
    }

    @Override
    public List<String> scaledModules() {
        return PeftIa3Config.LLAMA_TARGETS;
    }
}
