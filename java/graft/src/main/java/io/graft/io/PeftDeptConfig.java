package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;

/** The {@code adapter_config.json} of DePT (arXiv 2309.05173): that of a prompt, with the places and rank of the update. */
public final class PeftDeptConfig extends PeftPromptLearningConfig {
    private final int places;
    private final int rank;

    PeftDeptConfig(JsonFields fields) {
        super(fields, "DEPT");
        this.places = fields.positive("max_length");
        this.rank = fields.positive("r");
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of DePT
     */
    public static PeftDeptConfig read(Path path) {
        return new PeftDeptConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftDeptConfig parse(String where, String json) {
        return new PeftDeptConfig(JsonFields.parse(where, json));
    }

    /**
     * So many virtual tokens, and an update of the embeddings behind them.
     *
     * @param places tokens of a sequence, from the first, whose embeddings are updated
     * @param rank of the update
     */
    public static PeftDeptConfig of(String baseModel, int virtualTokens, int places, int rank) {
        ObjectNode json = fresh("DEPT", baseModel, virtualTokens);
        json.put("max_length", places).put("r", rank);
        return new PeftDeptConfig(new JsonFields("new DePT configuration", json));
    }

    /** Tokens of a sequence, from the first, whose embeddings are updated. */
    public int places() {
        return places;
    }

    public int rank() {
        return rank;
    }
}
