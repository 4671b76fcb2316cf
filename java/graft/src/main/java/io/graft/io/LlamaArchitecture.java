package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;

/** Llama (arXiv 2302.13971, 2307.09288, 2407.21783): RMS norms, half-split rotary embedding, a gated MLP, no bias. */
final class LlamaArchitecture extends Architecture {
    LlamaArchitecture() {
        super("llama", "LlamaForCausalLM", ModuleNames.LLAMA);
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        reader.refuseTrue("attention_bias");
        reader.refuseTrue("mlp_bias");
        return reader.decoder(LlamaConfigReader.Defaults.LLAMA, DecoderDesign.of(this));
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        json.put("hidden_act", "silu").put("initializer_range", 0.02).put("rms_norm_eps", config.rmsNormEps());
        json.put("attention_bias", false).put("mlp_bias", false).put("pretraining_tp", 1);
        json.put("head_dim", config.headDim());
    }

    @Override
    public List<String> scaledModules() {
        return PeftIa3Config.LLAMA_TARGETS;
    }
}
