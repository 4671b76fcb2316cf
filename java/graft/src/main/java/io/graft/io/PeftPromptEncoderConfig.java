package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;

/** The {@code adapter_config.json} of P-tuning (arXiv 2103.10385), as PEFT reads and writes it. */
public final class PeftPromptEncoderConfig extends PeftPromptLearningConfig {
    private final int hiddenSize;

    PeftPromptEncoderConfig(JsonFields fields) {
        super(fields, "P_TUNING");
        refuseUnless(fields, "encoder_reparameterization_type", Json.toNode("MLP"));
        this.hiddenSize = fields.has("encoder_hidden_size") ? fields.positive("encoder_hidden_size") : 0;
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of P-tuning, or asks for what Graft does not compute
     */
    public static PeftPromptEncoderConfig read(Path path) {
        return new PeftPromptEncoderConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftPromptEncoderConfig parse(String where, String json) {
        return new PeftPromptEncoderConfig(JsonFields.parse(where, json));
    }

    /**
     * So many virtual tokens.
     *
     * @param hiddenSize width of the encoder's inner layers; 0: the model's
     */
    public static PeftPromptEncoderConfig of(String baseModel, int virtualTokens, int hiddenSize) {
        ObjectNode json = fresh("P_TUNING", baseModel, virtualTokens);
        json.put("encoder_dropout", 0.0).put("encoder_num_layers", 2);
        json.put("encoder_reparameterization_type", "MLP").putNull("encoder_hidden_size");
        if (hiddenSize > 0) {
            json.put("encoder_hidden_size", hiddenSize);
        }
        return new PeftPromptEncoderConfig(new JsonFields("new P-tuning configuration", json));
    }

    /** Writes down the model's sizes; returns the width of the encoder's inner layers. */
    public int fitEncoder(int layers, int heads, int tokenWidth) {
        fit(layers, heads, tokenWidth);
        int width = hiddenSize == 0 ? tokenWidth : hiddenSize;
        json().put("encoder_hidden_size", width);
        return width;
    }
}
