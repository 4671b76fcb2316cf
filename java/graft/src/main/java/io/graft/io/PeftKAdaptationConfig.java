package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of KAdaptation (arXiv 2203.16329), which PEFT does not know: {@code peft_type} KADAPTATION, the
 * fields of Compacter, and PEFT's fields that select modules.
 */
public final class PeftKAdaptationConfig extends PeftConfig {
    private final int division;
    private final int rank;

    PeftKAdaptationConfig(JsonFields fields) {
        super(fields, "KADAPTATION", LlamaConfig.PROJECTIONS);
        this.division = fields.positive("hypercomplex_division", 4);
        this.rank = fields.positive("phm_rank", 1);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of KAdaptation
     */
    public static PeftKAdaptationConfig read(Path path) {
        return new PeftKAdaptationConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftKAdaptationConfig parse(String where, String json) {
        return new PeftKAdaptationConfig(JsonFields.parse(where, json));
    }

    /** Sums of 4 products whose second factors have this rank. */
    public static PeftKAdaptationConfig of(String baseModel, List<String> targets, int rank) {
        ObjectNode json = fresh("KADAPTATION", baseModel, targets);
        json.put("hypercomplex_division", 4).put("phm_rank", rank);
        return new PeftKAdaptationConfig(new JsonFields("new KAdaptation configuration", json));
    }

    /** n: terms of each sum, and sides of the matrices that all layers share. */
    public int division() {
        return division;
    }

    /** The rank of the other factor of each term. */
    public int rank() {
        return rank;
    }

    @Override
    public String toString() {
        return "PeftKAdaptationConfig[hypercomplex_division=" + division + ", phm_rank=" + rank + ", target_modules="
                + json().get("target_modules") + "]";
    }
}
