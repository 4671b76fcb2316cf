package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.io.DecoderDesign.Part;
import java.util.Set;

/** Qwen 3 (arXiv 2505.09388): a Llama with an RMS norm of each head of q and k; upper layers may have a window. */
final class Qwen3Architecture extends Architecture {
    Qwen3Architecture() {
        super("qwen3", "Qwen3ForCausalLM", ModuleNames.LLAMA);
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        Set<Part> parts = reader.attentionBiases();
        parts.add(Part.HEAD_NORMS);
        DecoderDesign design = DecoderDesign.of(this, parts.toArray(Part[]::new));
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
        json.put("attention_bias", config.design().has(Part.INPUT_BIASES)).put("head_dim", config.headDim());
    }
}
