package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/** The {@code adapter_config.json} of LLaMA-Adapter (arXiv 2303.16199), PEFT's ADAPTION_PROMPT. */
public final class PeftAdaptionPromptConfig extends PeftConfig {
    private final JsonFields fields;
    private final int length;
    private final int layers;

    PeftAdaptionPromptConfig(JsonFields fields) {
        super(fields, "ADAPTION_PROMPT", List.of());
        this.fields = fields;
        this.length = fields.positive("adapter_len");
        this.layers = fields.positive("adapter_layers", 0);
        refuseUnless(fields, "target_modules", Json.toNode("self_attn"));
        if (!modulesToSave().isEmpty()) {
            throw fields.refuse("modules_to_save", "is given, but prompts and gates are all that is trained");
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of LLaMA-Adapter, or asks for what Graft does not compute
     */
    public static PeftAdaptionPromptConfig read(Path path) {
        return new PeftAdaptionPromptConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftAdaptionPromptConfig parse(String where, String json) {
        return new PeftAdaptionPromptConfig(JsonFields.parse(where, json));
    }

    /**
     * So many rows in each of the last layers.
     *
     * @param layers how many; 0: all, which {@link #firstLayer} writes down
     */
    public static PeftAdaptionPromptConfig of(String baseModel, int length, int layers) {
        ObjectNode json = fresh("ADAPTION_PROMPT", baseModel);
        json.remove("modules_to_save");
        json.put("adapter_len", length).putNull("adapter_layers").put("target_modules", "self_attn");
        if (layers > 0) {
            json.put("adapter_layers", layers);
        }
        return new PeftAdaptionPromptConfig(new JsonFields("new LLaMA-Adapter configuration", json));
    }

    /** Rows of each layer. */
    public int length() {
        return length;
    }

    /**
     * The first layer that has rows; all above it have some too.
     *
     * @param all layers of the model
     * @throws FormatException if there are fewer than the adapter has
     */
    public int firstLayer(int all) {
        if (layers > all) {
            throw fields.refuse("adapter_layers", "is " + layers + ", but the model has " + all);
        }
        json().put("adapter_layers", layers == 0 ? all : layers);
        return layers == 0 ? 0 : all - layers;
    }

    @Override
    public String toString() {
        return "PeftAdaptionPromptConfig[adapter_len=" + length + ", adapter_layers=" + layers + "]";
    }
}
