package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.io.DecoderDesign.Part;
import java.util.Map;

/**
 * Gemma 2 (arXiv 2408.00118): a Llama with a gate through GELU, norms that multiply by 1 + their weight and stand behind
 * attention and MLP too, scaled embeddings, a window in every other layer, and caps of scores and logits.
 */
final class Gemma2Architecture extends Architecture {
    static final ModuleNames NAMES = ModuleNames.LLAMA.withNorms(
            "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm");

    static final LlamaConfigReader.Defaults DEFAULTS = LlamaConfigReader.Defaults.LLAMA
            .withFields(Map.of("hidden_act", "hidden_activation"))
            .withKvHeads(4)
            .withHeadDim(256)
            .withPositions(8192)
            .withTiedEmbeddings()
            .withActivations("gelu_pytorch_tanh");

    Gemma2Architecture() {
        super("gemma2", "Gemma2ForCausalLM", NAMES);
    }

    /** What Gemma 2 and 3 share: their parts, and how scores and logits are scaled and capped. */
    static DecoderDesign design(Architecture own, LlamaConfigReader reader, double cap, double logitCap, double theta) {
        reader.refuseTrue("use_bidirectional_attention");
        reader.refuseTrue("attention_bias");
        return DecoderDesign.of(own, Part.SHIFTED_NORMS, Part.POST_NORMS, Part.SCALED_EMBEDDINGS, Part.GELU_GATE)
                .withScores(new DecoderDesign.Scores(
                        reader.number("query_pre_attn_scalar", 256),
                        reader.cap("attn_logit_softcapping", cap),
                        reader.cap("final_logit_softcapping", logitCap),
                        theta));
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        return reader.decoder(
                DEFAULTS, design(this, reader, 50, 30, 0).withWindows(reader.windowsBut(2, reader.window(4096))));
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        DecoderDesign.Scores scores = config.design().scores();
        json.put("hidden_activation", "gelu_pytorch_tanh").put("initializer_range", 0.02);
        json.put("rms_norm_eps", config.rmsNormEps())
                .put("head_dim", config.headDim())
                .put("attention_bias", false);
        json.set("query_pre_attn_scalar", PeftLoraConfigBuilder.number(scores.divisor()));
        json.set("attn_logit_softcapping", scores.cap() == 0 ? json.nullNode() : json.numberNode(scores.cap()));
        json.set(
                "final_logit_softcapping",
                scores.logitCap() == 0 ? json.nullNode() : json.numberNode(scores.logitCap()));
        int window = config.design().window();
        json.set("sliding_window", window == 0 ? json.nullNode() : json.numberNode(window));
        UpperWindows.writeTypes(config, json);
        json.putNull("use_bidirectional_attention");
    }
}
