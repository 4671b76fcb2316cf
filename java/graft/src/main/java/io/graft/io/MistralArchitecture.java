package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Collections;
import java.util.List;

/** Mistral (arXiv 2310.06825): a Llama whose queries see the last keys only, in every layer. */
final class MistralArchitecture extends Architecture {
    MistralArchitecture() {
        super("mistral", "MistralForCausalLM", ModuleNames.LLAMA);
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        // why: transformers takes an absent window for 4096, and null for none.
        int window = reader.window(4096);
        DecoderDesign design = DecoderDesign.of(this);
        return reader.decoder(
                LlamaConfigReader.Defaults.LLAMA.withKvHeads(8).withPositions(131072),
                design.withWindows(Collections.nCopies(reader.layers(), window)));
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        json.put("hidden_act", "silu").put("initializer_range", 0.02).put("rms_norm_eps", config.rmsNormEps());
        json.put("head_dim", config.headDim());
        int window = config.design().window();
        json.set("sliding_window", window == 0 ? json.nullNode() : json.numberNode(window));
    }

    @Override
    public List<String> scaledModules() {
        return PeftIa3Config.LLAMA_TARGETS;
    }
}
