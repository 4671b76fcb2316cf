package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;

/** The {@code adapter_config.json} of prefix tuning (arXiv 2101.00190), as PEFT reads and writes it. */
public final class PeftPrefixTuningConfig extends PeftPromptLearningConfig {
    private final boolean projected;
    private final int hiddenSize;

    PeftPrefixTuningConfig(JsonFields fields) {
        super(fields, "PREFIX_TUNING");
        this.projected = fields.flag("prefix_projection", false);
        this.hiddenSize = fields.has("encoder_hidden_size") ? fields.positive("encoder_hidden_size") : 0;
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of prefix tuning, or asks for what Graft does not compute
     */
    public static PeftPrefixTuningConfig read(Path path) {
        return new PeftPrefixTuningConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftPrefixTuningConfig parse(String where, String json) {
        return new PeftPrefixTuningConfig(JsonFields.parse(where, json));
    }

    /** So many virtual tokens in each layer. */
    public static PeftPrefixTuningConfig of(String baseModel, int virtualTokens) {
        return of(baseModel, virtualTokens, false);
    }

    /** So many virtual tokens in each layer; projected: made by a network while they are trained. */
    public static PeftPrefixTuningConfig of(String baseModel, int virtualTokens, boolean projected) {
        ObjectNode json = fresh("PREFIX_TUNING", baseModel, virtualTokens);
        json.putNull("encoder_hidden_size").put("prefix_projection", projected);
        return new PeftPrefixTuningConfig(new JsonFields("new prefix tuning configuration", json));
    }

    /** Whether a network makes the rows while they are trained; a file holds what it made. */
    public boolean projected() {
        return projected;
    }

    /** Writes down the model's sizes; returns the width of the network's inner layer. */
    public int fitEncoder(int layers, int heads, int tokenWidth) {
        fit(layers, heads, tokenWidth);
        int width = hiddenSize == 0 ? tokenWidth : hiddenSize;
        if (projected) {
            json().put("encoder_hidden_size", width);
        }
        return width;
    }
}
