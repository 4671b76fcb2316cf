package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;

/** The {@code adapter_config.json} of prefix tuning (arXiv 2101.00190), as PEFT reads and writes it. */
public final class PeftPrefixTuningConfig extends PeftPromptLearningConfig {
    PeftPrefixTuningConfig(String file, ObjectNode json) {
        this(new JsonFields(file, json), json);
    }

    private PeftPrefixTuningConfig(JsonFields fields, ObjectNode json) {
        super(fields, json, "PREFIX_TUNING");
        if (fields.flag("prefix_projection", false)) {
            throw fields.refuse("prefix_projection", "is true; supported are prefixes without a projection");
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of prefix tuning, or asks for what Graft does not compute
     */
    public static PeftPrefixTuningConfig read(Path path) {
        Path file = file(path);
        return new PeftPrefixTuningConfig(file.toString(), Json.readObject(file));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftPrefixTuningConfig parse(String where, String json) {
        return new PeftPrefixTuningConfig(where, Json.readObject(where, json));
    }

    /** So many virtual tokens in each layer. */
    public static PeftPrefixTuningConfig of(String baseModel, int virtualTokens) {
        ObjectNode json = fresh("PREFIX_TUNING", baseModel, virtualTokens);
        json.putNull("encoder_hidden_size").put("prefix_projection", false);
        return new PeftPrefixTuningConfig("new prefix tuning configuration", json);
    }
}
