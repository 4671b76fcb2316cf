package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * The {@code adapter_config.json} of trained rows, in PEFT's layout: which modules have some, and how many. PEFT has no such
 * adapter.
 */
public final class PeftRowsConfig extends PeftConfig {
    private final int rank;
    private final PeftTargets.Values<Integer> ranks;

    PeftRowsConfig(JsonFields fields) {
        super(fields, "ROWS", PeftTargets.LLAMA);
        this.rank = fields.positive("r", 8);
        this.ranks = new PeftTargets.Values<>(fields, "rank_pattern", JsonFields::positive, rank);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of trained rows
     */
    public static PeftRowsConfig read(Path path) {
        return new PeftRowsConfig(fields(path));
    }

    /**
     * A new configuration.
     *
     * @param rank rows of each module
     * @param ranks other numbers for the modules that match a key
     */
    public static PeftRowsConfig of(String baseModel, List<String> targets, int rank, Map<String, Integer> ranks) {
        ObjectNode json = fresh("ROWS", baseModel).put("r", rank);
        json.set("rank_pattern", Json.toNode(ranks));
        json.set("target_modules", Json.toNode(targets));
        return new PeftRowsConfig(new JsonFields("new configuration of rows", json));
    }

    /** The configuration of the LoRA adapter that does the same: B selects the rows, A is the delta. */
    public PeftLoraConfig asLora() {
        return PeftLoraConfig.of(this, rank, rank, "rank_pattern", "rank_pattern");
    }

    /** The number of trained rows of a module. */
    public int rank(String module) {
        return ranks.of(module);
    }
}
