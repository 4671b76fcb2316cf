package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;

/** Qwen 2 and 2.5 (arXiv 2407.10671, 2412.15115): a Llama with biases in q, k and v; upper layers may have a window. */
final class Qwen2Architecture extends Architecture {
    Qwen2Architecture() {
        super("qwen2", "Qwen2ForCausalLM", ModuleNames.LLAMA);
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        DecoderDesign design = DecoderDesign.of(this, DecoderDesign.Part.INPUT_BIASES);
        return reader.decoder(
                LlamaConfigReader.Defaults.LLAMA.withKvHeads(32).withPositions(32768),
                design.withWindows(reader.upperWindows()));
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        json.put("hidden_act", "silu").put("initializer_range", 0.02).put("rms_norm_eps", config.rmsNormEps());
        UpperWindows.write(config, json);
        if (config.headDim() * config.heads() != config.hiddenSize()) {
            json.put("head_dim", config.headDim());
        }
    }
}
