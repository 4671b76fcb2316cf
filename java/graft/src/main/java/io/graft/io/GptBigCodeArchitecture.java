package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.io.DecoderDesign.Part;
import java.util.Map;

/**
 * GPT-BigCode (SantaCoder and StarCoder, arXiv 2301.03988, 2305.06161): one key and value head for all query heads (arXiv
 * 1911.02150), made with q by one projection; a trained vector for each position; layer norms, biases everywhere and GELU.
 */
final class GptBigCodeArchitecture extends Architecture {
    private static final ModuleNames NAMES = new ModuleNames(
            "transformer.wte",
            "transformer.wpe",
            "transformer.h",
            "transformer.ln_f",
            "lm_head",
            "ln_1",
            "attn.c_attn",
            null,
            null,
            "attn.c_proj",
            null,
            "ln_2",
            null,
            "mlp.c_fc",
            "mlp.c_proj",
            null);

    /** What the GPT family calls fields that others call by their usual names. */
    static final Map<String, String> FIELDS = Map.of(
            "hidden_size", "n_embd",
            "intermediate_size", "n_inner",
            "num_hidden_layers", "n_layer",
            "num_attention_heads", "n_head",
            "max_position_embeddings", "n_positions",
            "hidden_act", "activation_function");

    GptBigCodeArchitecture() {
        super("gpt_bigcode", "GPTBigCodeForCausalLM", NAMES);
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        reader.requireTrue("multi_query");
        reader.requireTrue("scale_attn_weights");
        reader.refuseTrue("add_cross_attention");
        LlamaConfigReader.Defaults defaults = LlamaConfigReader.Defaults.LLAMA
                .withFields(FIELDS)
                .withKvHeads(1)
                .withPositions(1024)
                .withEpsilon("layer_norm_epsilon", 1e-5)
                .withTiedEmbeddings()
                .withActivations("gelu_pytorch_tanh", "gelu_new", "gelu_fast", "gelu")
                .withDropout();
        return reader.decoder(
                defaults,
                DecoderDesign.of(
                        this,
                        Part.INPUT_BIASES,
                        Part.OUTPUT_BIAS,
                        Part.MLP_BIASES,
                        Part.LAYER_NORMS,
                        Part.LEARNED_POSITIONS));
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        json.put("hidden_act", config.design().has(Part.ERF_GELU) ? "gelu" : "gelu_pytorch_tanh")
                .put("layer_norm_epsilon", config.rmsNormEps());
        json.put("initializer_range", 0.02).put("multi_query", true).put("add_cross_attention", false);
        json.put("scale_attn_weights", true).put("attention_softmax_in_fp32", true);
        json.put("scale_attention_softmax_in_fp32", true);
        json.put("attn_pdrop", 0.0).put("embd_pdrop", 0.0).put("resid_pdrop", 0.0);
        FIELDS.forEach((usual, own) -> json.set(own, json.remove(usual)));
        json.remove("attention_dropout");
        json.remove("rope_parameters");
    }
}
