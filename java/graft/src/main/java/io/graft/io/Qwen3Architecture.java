package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;

/** Qwen 3 (arXiv 2505.09388): a Llama with an RMS norm of each head of q and k; upper layers may have a window. */
final class Qwen3Architecture extends Architecture {
    Qwen3Architecture() {
        super("qwen3", "Qwen3ForCausalLM", ModuleNames.LLAMA);
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        reader.refuseTrue("attention_bias");
        DecoderDesign design = DecoderDesign.of(this, DecoderDesign.Part.HEAD_NORMS);
        return reader.decoder(
                LlamaConfigReader.Defaults.LLAMA
                        .withKvHeads(32)
                        .withHeadDim(128)
                        .withPositions(32768),
                design.withWindows(reader.upperWindows()));
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        json.put("hidden_act", "silu").put("initializer_range", 0.02).put("rms_norm_eps", config.rmsNormEps());
        UpperWindows.write(config, json);
        json.put("attention_bias", false).put("head_dim", config.headDim());
    }
}
