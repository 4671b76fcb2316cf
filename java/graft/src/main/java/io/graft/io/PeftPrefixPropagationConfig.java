package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;

/** The {@code adapter_config.json} of prefix-propagation (arXiv 2305.12086): that of a prompt. */
public final class PeftPrefixPropagationConfig extends PeftPromptLearningConfig {
    PeftPrefixPropagationConfig(String file, ObjectNode json) {
        super(new JsonFields(file, json), json, "PREFIX_PROPAGATION");
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of prefix-propagation
     */
    public static PeftPrefixPropagationConfig read(Path path) {
        Path file = file(path);
        return new PeftPrefixPropagationConfig(file.toString(), Json.readObject(file));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftPrefixPropagationConfig parse(String where, String json) {
        return new PeftPrefixPropagationConfig(where, Json.readObject(where, json));
    }

    /** So many virtual tokens. */
    public static PeftPrefixPropagationConfig of(String baseModel, int virtualTokens) {
        return new PeftPrefixPropagationConfig(
                "new prefix-propagation configuration", fresh("PREFIX_PROPAGATION", baseModel, virtualTokens));
    }
}
