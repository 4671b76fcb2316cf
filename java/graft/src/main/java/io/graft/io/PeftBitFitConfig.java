package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of BitFit (arXiv 2106.10199), which PEFT does not know: {@code peft_type} BITFIT beside
 * PEFT's fields that select modules, those whose bias is trained.
 */
public final class PeftBitFitConfig extends PeftConfig {
    PeftBitFitConfig(JsonFields fields) {
        super(fields, "BITFIT", LlamaConfig.PROJECTIONS);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of BitFit
     */
    public static PeftBitFitConfig read(Path path) {
        return new PeftBitFitConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftBitFitConfig parse(String where, String json) {
        return new PeftBitFitConfig(JsonFields.parse(where, json));
    }

    /** The biases of these modules, e.g. {@link LlamaConfig#PROJECTIONS}. */
    public static PeftBitFitConfig of(String baseModel, List<String> targets) {
        ObjectNode json = fresh("BITFIT", baseModel, targets);
        return new PeftBitFitConfig(new JsonFields("new BitFit configuration", json));
    }
}
