package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;

/**
 * The {@code adapter_config.json} of an adapter that trains virtual tokens instead of modules: how many there are, and
 * what PEFT writes about the model that they fit.
 */
public abstract sealed class PeftPromptLearningConfig extends PeftConfig
        permits PeftPromptTuningConfig,
                PeftPrefixTuningConfig,
                PeftPromptEncoderConfig,
                PeftDeptConfig,
                PeftPrefixPropagationConfig,
                PeftSmopConfig {
    private final JsonFields fields;
    private final int virtualTokens;

    PeftPromptLearningConfig(JsonFields fields, String type) {
        super(fields, type, List.of());
        this.fields = fields;
        this.virtualTokens = fields.positive("num_virtual_tokens");
        if (fields.positive("num_transformer_submodules", 1) != 1) {
            throw fields.refuse("num_transformer_submodules", "is not 1, which only models of two halves have");
        }
        if (!modulesToSave().isEmpty()) {
            throw fields.refuse("modules_to_save", "is given, but virtual tokens are all that is trained");
        }
    }

    static ObjectNode fresh(String type, String baseModel, int virtualTokens) {
        ObjectNode json = fresh(type, baseModel);
        json.put("num_virtual_tokens", virtualTokens).put("num_transformer_submodules", 1);
        for (String field : new String[] {"num_attention_heads", "num_layers", "token_dim"}) {
            json.putNull(field);
        }
        return json;
    }

    /** The number of virtual tokens. */
    public int virtualTokens() {
        return virtualTokens;
    }

    /**
     * Writes down the model's sizes, where the file has none, as PEFT does when it meets the model.
     *
     * @throws FormatException if the file has others
     */
    public void fit(int layers, int heads, int tokenWidth) {
        fit("num_layers", layers);
        fit("num_attention_heads", heads);
        fit("token_dim", tokenWidth);
    }

    private void fit(String field, int value) {
        int found = fields.positive(field, value);
        if (found != value) {
            throw fields.refuse(field, "is " + found + ", but the model has " + value);
        }
        json().put(field, value);
    }

    @Override
    public String toString() {
        return getClass().getSimpleName() + "[num_virtual_tokens=" + virtualTokens + "]";
    }
}
