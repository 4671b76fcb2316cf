package io.graft.io;

import java.nio.file.Path;

/** The {@code adapter_config.json} of prefix-propagation (arXiv 2305.12086): that of a prompt. */
public final class PeftPrefixPropagationConfig extends PeftPromptLearningConfig {
    PeftPrefixPropagationConfig(JsonFields fields) {
        super(fields, "PREFIX_PROPAGATION");
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of prefix-propagation
     */
    public static PeftPrefixPropagationConfig read(Path path) {
        return new PeftPrefixPropagationConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftPrefixPropagationConfig parse(String where, String json) {
        return new PeftPrefixPropagationConfig(JsonFields.parse(where, json));
    }

    /** So many virtual tokens. */
    public static PeftPrefixPropagationConfig of(String baseModel, int virtualTokens) {
        return new PeftPrefixPropagationConfig(new JsonFields(
                "new prefix-propagation configuration", fresh("PREFIX_PROPAGATION", baseModel, virtualTokens)));
    }
}
