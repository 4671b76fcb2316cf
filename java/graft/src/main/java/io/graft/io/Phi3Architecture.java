package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.io.DecoderDesign.Part;
import java.util.Collections;

/**
 * Phi 3 (arXiv 2404.14219): a Llama in which one projection makes q, k and v, and one gate and up; every layer has a window
 * where the configuration has one.
 */
final class Phi3Architecture extends Architecture {
    private static final ModuleNames NAMES = new ModuleNames(
            "model.embed_tokens",
            null,
            "model.layers",
            "model.norm",
            "lm_head",
            "input_layernorm",
            "self_attn.qkv_proj",
            null,
            null,
            "self_attn.o_proj",
            null,
            "post_attention_layernorm",
            null,
            "mlp.gate_up_proj",
            "mlp.down_proj",
            null);

    Phi3Architecture() {
        super("phi3", "Phi3ForCausalLM", NAMES);
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        for (String dropout : new String[] {"resid_pdrop", "embd_pdrop"}) {
            reader.check(dropout, reader.number(dropout, 0) == 0, "is not 0: dropout of the base is not supported");
        }
        reader.refuseTrue("attention_bias");
        LlamaConfigReader.Defaults defaults =
                LlamaConfigReader.Defaults.LLAMA.withPositions(4096).withEpsilon("rms_norm_eps", 1e-5);
        LlamaConfig config = reader.decoder(
                defaults,
                DecoderDesign.of(this, Part.FUSED_GATE)
                        .withRotary(reader.rotaryWidth(defaults, 1))
                        .withWindows(Collections.nCopies(reader.layers(), reader.window(0))));
        // why: to transformers 'yarn' is the old name of a Phi 3's longrope.
        reader.check(
                "rope_parameters",
                config.ropeScaling() == null,
                "scales frequencies, supported is rope_type 'default'");
        return config;
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        json.put("hidden_act", "silu").put("initializer_range", 0.02).put("rms_norm_eps", config.rmsNormEps());
        json.put("original_max_position_embeddings", config.maxPositions()).put("embd_pdrop", 0.0);
        json.put("resid_pdrop", 0.0);
        // why twice: transformers before 5 looks for it here only.
        json.set("partial_rotary_factor", LlamaConfigReader.writeRotaryWidth(config, json));
        int window = config.design().window();
        json.set("sliding_window", window == 0 ? json.nullNode() : json.numberNode(window));
        if (config.headDim() * config.heads() != config.hiddenSize()) {
            json.put("head_dim", config.headDim());
        }
    }
}
