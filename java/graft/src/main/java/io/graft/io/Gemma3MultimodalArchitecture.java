package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;

/**
 * Gemma 3 with its vision tower (arXiv 2503.19786), of which the text model alone is computed, for input of text alone. Its
 * configuration is that of the text model in {@code text_config}; what stands around that is kept as it is, and so are the
 * tower's tensors where a checkpoint is made from another.
 */
final class Gemma3MultimodalArchitecture extends Architecture {
    private static final String TEXT = "text_config";
    private static final ModuleNames NAMES = Gemma2Architecture.NAMES.below("model.language_model");

    /** What transformers takes where text_config is silent; that of the published 4B model is. */
    private static final Map<String, Integer> DEFAULTS = Map.of(
            "vocab_size", 262208,
            "hidden_size", 2304,
            "intermediate_size", 9216,
            "num_hidden_layers", 26,
            "num_attention_heads", 8,
            "bos_token_id", 2,
            "eos_token_id", 1);

    /** Fields around text_config that say something of the text model, and count before its own. */
    private static final List<String> SHARED =
            List.of("dtype", "torch_dtype", "quantization_config", "tie_word_embeddings", "eos_token_id");

    /** The configuration without the text model's. */
    private final ObjectNode around;

    Gemma3MultimodalArchitecture() {
        this(Json.newObject());
    }

    private Gemma3MultimodalArchitecture(ObjectNode around) {
        super("gemma3", "Gemma3ForConditionalGeneration", NAMES);
        this.around = around;
    }

    @Override
    public List<String> unused() {
        return List.of("model.vision_tower", "model.multi_modal_projector");
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        ObjectNode outer = reader.json().deepCopy();
        JsonFields inner = reader.child(TEXT);
        ObjectNode text = inner == null ? Json.newObject() : inner.object().deepCopy();
        SHARED.stream().filter(outer::hasNonNull).forEach(field -> text.set(field, outer.get(field)));
        DEFAULTS.forEach((field, value) -> {
            if (!text.hasNonNull(field)) {
                text.put(field, value);
            }
        });
        outer.remove(SHARED);
        outer.remove(List.of(TEXT, "architectures", "model_type", "transformers_version"));
        LlamaConfigReader inside = reader.inside(TEXT, text);
        String type = text.path("model_type").asText("gemma3_text");
        inside.check("model_type", type.equals("gemma3_text"), "is '" + type + "', supported is 'gemma3_text'");
        return Gemma3Architecture.read(new Gemma3MultimodalArchitecture(outer), inside);
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        new Gemma3Architecture().write(config, json);
        ObjectNode text = json.deepCopy();
        text.remove(List.of("architectures", "dtype", "quantization_config"));
        text.put("model_type", "gemma3_text");
        JsonNode classes = json.get("architectures");
        json.retain(SHARED);
        json.remove("eos_token_id");
        json.setAll(around.deepCopy());
        json.set("architectures", classes);
        json.put("model_type", type()).set(TEXT, text);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Gemma3MultimodalArchitecture same && around.equals(same.around);
    }

    @Override
    public int hashCode() {
        return around.hashCode();
    }
}
