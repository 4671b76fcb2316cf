package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;

/** Qwen 3 (arXiv 2505.09388): a Llama with an RMS norm of each head of q and k; upper layers may have a window. */
final class Qwen3Architecture extends Architecture {
    Qwen3Architecture() {
        super("qwen3", "Qwen3ForCausalLM");
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        reader.refuseTrue("attention_bias");
        DecoderDesign design = DecoderDesign.of(this).withHeadNorms();
        return reader.decoder(32, 128, 32768, design.withWindows(reader.upperWindows()));
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        UpperWindows.write(config, json);
        json.put("attention_bias", false).put("head_dim", config.headDim());
    }
}
