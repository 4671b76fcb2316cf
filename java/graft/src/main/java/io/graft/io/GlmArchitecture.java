package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.io.DecoderDesign.Part;

/**
 * GLM 4 (arXiv 2406.12793): a Llama of which half of each head is turned, in pairs of neighbours, with biases of q, k and v,
 * and one layer that makes gate and up. Its second release, {@code glm4}, has norms behind attention and MLP too.
 */
final class GlmArchitecture extends Architecture {
    private static final ModuleNames NAMES = ModuleNames.LLAMA.withMlp("mlp.gate_up_proj", "mlp.down_proj");

    private final boolean postNorms;

    private GlmArchitecture(String type, String className, ModuleNames names, boolean postNorms) {
        super(type, className, names);
        this.postNorms = postNorms;
    }

    static GlmArchitecture first() {
        return new GlmArchitecture("glm", "GlmForCausalLM", NAMES, false);
    }

    static GlmArchitecture second() {
        return new GlmArchitecture(
                "glm4",
                "Glm4ForCausalLM",
                NAMES.withNorms("post_self_attn_layernorm", "post_attention_layernorm", "post_mlp_layernorm"),
                true);
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        LlamaConfigReader.Defaults defaults = LlamaConfigReader.Defaults.LLAMA
                .withKvHeads(2)
                .withHeadDim(128)
                .withPositions(131072)
                .withEpsilon("rms_norm_eps", 1.5625e-7);
        DecoderDesign design = DecoderDesign.of(this, Part.ROTARY_PAIRS, Part.FUSED_GATE)
                .withRotary(reader.rotaryWidth(defaults, 0.5));
        design = reader.flag("attention_bias", true) ? design.with(Part.INPUT_BIASES) : design;
        return reader.decoder(defaults, postNorms ? design.with(Part.POST_NORMS) : design);
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        json.put("hidden_act", "silu").put("initializer_range", 0.02).put("rms_norm_eps", config.rmsNormEps());
        json.put("attention_bias", config.design().has(Part.INPUT_BIASES)).put("head_dim", config.headDim());
        json.set("partial_rotary_factor", LlamaConfigReader.writeRotaryWidth(config, json));
    }
}
