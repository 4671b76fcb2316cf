package io.graft.io;

import java.nio.file.Path;
import java.util.List;

/** The {@code adapter_config.json} of a LoHa adapter (arXiv 2108.06098), as PEFT reads and writes it. */
public final class PeftLohaConfig extends PeftLycorisConfig {
    PeftLohaConfig(JsonFields fields) {
        super(fields, "LOHA", List.of("true", "false"));
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a LoHa adapter, or asks for what Graft does not compute
     */
    public static PeftLohaConfig read(Path path) {
        return new PeftLohaConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftLohaConfig parse(String where, String json) {
        return new PeftLohaConfig(JsonFields.parse(where, json));
    }

    /**
     * A new configuration.
     *
     * @param rank of each of the two products
     */
    public static PeftLohaConfig of(String baseModel, List<String> targets, int rank, double alpha) {
        return new PeftLohaConfig(
                new JsonFields("new LoHa configuration", fresh("LOHA", baseModel, targets, rank, alpha)));
    }
}
