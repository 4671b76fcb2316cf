package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/** The {@code adapter_config.json} of a LoHa adapter (arXiv 2108.06098), as PEFT reads and writes it. */
public final class PeftLohaConfig extends PeftLycorisConfig {
    PeftLohaConfig(String file, ObjectNode json) {
        super(new JsonFields(file, json), json, "LOHA", List.of("true", "false"));
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a LoHa adapter, or asks for what Graft does not compute
     */
    public static PeftLohaConfig read(Path path) {
        Path file = file(path);
        return new PeftLohaConfig(file.toString(), Json.readObject(file));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftLohaConfig parse(String where, String json) {
        return new PeftLohaConfig(where, Json.readObject(where, json));
    }

    /**
     * A new configuration.
     *
     * @param rank of each of the two products
     */
    public static PeftLohaConfig of(String baseModel, List<String> targets, int rank, double alpha) {
        return new PeftLohaConfig("new LoHa configuration", fresh("LOHA", baseModel, targets, rank, alpha));
    }
}
