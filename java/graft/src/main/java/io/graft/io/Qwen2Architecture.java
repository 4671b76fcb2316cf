package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;

/** Qwen 2 and 2.5 (arXiv 2407.10671, 2412.15115): a Llama with biases in q, k and v; upper layers may have a window. */
final class Qwen2Architecture extends Architecture {
    Qwen2Architecture() {
        super("qwen2", "Qwen2ForCausalLM");
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        DecoderDesign design = DecoderDesign.of(this).withInputBiases();
        return reader.decoder(32, 0, 32768, design.withWindows(reader.upperWindows()));
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        UpperWindows.write(config, json);
        if (config.headDim() * config.heads() != config.hiddenSize()) {
            json.put("head_dim", config.headDim());
        }
    }
}
