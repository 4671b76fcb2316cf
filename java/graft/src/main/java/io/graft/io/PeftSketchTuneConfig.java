package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of SketchTune (arXiv 2410.06364), which PEFT does not know: {@code peft_type} SKETCHTUNE
 * beside PEFT's fields that select modules, those whose tables are trained. Bits and groups are in the tensors' shapes.
 */
public final class PeftSketchTuneConfig extends PeftConfig {
    PeftSketchTuneConfig(JsonFields fields) {
        super(fields, "SKETCHTUNE", LlamaConfig.PROJECTIONS);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of SketchTune
     */
    public static PeftSketchTuneConfig read(Path path) {
        return new PeftSketchTuneConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftSketchTuneConfig parse(String where, String json) {
        return new PeftSketchTuneConfig(JsonFields.parse(where, json));
    }

    /** The tables of these modules, e.g. {@link LlamaConfig#PROJECTIONS}. */
    public static PeftSketchTuneConfig of(String baseModel, List<String> targets) {
        ObjectNode json = fresh("SKETCHTUNE", baseModel, targets);
        return new PeftSketchTuneConfig(new JsonFields("new SketchTune configuration", json));
    }
}
