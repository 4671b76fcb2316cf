package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.io.DecoderDesign.Part;

/**
 * CodeGen (arXiv 2203.13474): attention and MLP side by side on one layer norm; one projection makes q, v and k, in four
 * groups of heads; pairs of neighbours in the first {@code rotary_dim} numbers of a head are turned; biases in MLP and head.
 */
final class CodeGenArchitecture extends Architecture {
    private static final int GROUPS = 4;

    private static final ModuleNames NAMES = new ModuleNames(
            "transformer.wte",
            null,
            "transformer.h",
            "transformer.ln_f",
            "lm_head",
            "ln_1",
            "attn.qkv_proj",
            null,
            null,
            "attn.out_proj",
            null,
            null,
            null,
            "mlp.fc_in",
            "mlp.fc_out",
            null);

    CodeGenArchitecture() {
        super("codegen", "CodeGenForCausalLM", NAMES);
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        LlamaConfigReader.Defaults defaults = LlamaConfigReader.Defaults.LLAMA
                .withFields(GptBigCodeArchitecture.FIELDS)
                .withPositions(2048)
                .withEpsilon("layer_norm_epsilon", 1e-5)
                .withActivations("gelu_new", "gelu_pytorch_tanh", "gelu")
                .withDropout();
        LlamaConfig config = reader.decoder(
                defaults,
                DecoderDesign.of(
                                this,
                                Part.MLP_BIASES,
                                Part.HEAD_BIAS,
                                Part.LAYER_NORMS,
                                Part.PARALLEL,
                                Part.GROUPED_QVK,
                                Part.ROTARY_PAIRS)
                        .withRotary(reader.positive("rotary_dim", 64)));
        reader.check("n_head", config.heads() % GROUPS == 0, "is " + config.heads() + ", no multiple of " + GROUPS);
        reader.check("rope_parameters", config.ropeScaling() == null, "scales frequencies, which CodeGen does not");
        reader.check("tie_word_embeddings", !config.tiedEmbeddings(), "is true, but the head has a bias of its own");
        return config;
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        json.put("hidden_act", config.design().has(Part.ERF_GELU) ? "gelu" : "gelu_new")
                .put("layer_norm_epsilon", config.rmsNormEps());
        json.put("initializer_range", 0.02).put("n_ctx", config.maxPositions());
        json.put("rotary_dim", config.design().rotary());
        json.put("attn_pdrop", 0.0).put("embd_pdrop", 0.0).put("resid_pdrop", 0.0);
        GptBigCodeArchitecture.FIELDS.forEach((usual, own) -> json.set(own, json.remove(usual)));
        json.remove("attention_dropout");
        json.remove("rope_parameters");
        json.remove("num_key_value_heads");
        json.remove("pad_token_id");
    }
}
