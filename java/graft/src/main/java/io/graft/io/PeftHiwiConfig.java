package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * The {@code adapter_config.json} of HiWi (arXiv 2305.16742), which PEFT does not know: {@code peft_type} HIWI beside PEFT's
 * fields that select modules.
 */
public final class PeftHiwiConfig extends PeftConfig {
    private static final Set<String> FUNCTIONS = Set.of("relu", "tanh");

    private final int rank;
    private final String nonLinearity;

    PeftHiwiConfig(JsonFields fields) {
        super(fields, "HIWI", LlamaConfig.PROJECTIONS);
        this.rank = fields.positive("r", 8);
        this.nonLinearity = fields.text("non_linearity", "relu");
        if (!FUNCTIONS.contains(nonLinearity)) {
            throw fields.refuse("non_linearity", "is '" + nonLinearity + "', supported are relu and tanh");
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of HiWi, or asks for what Graft does not compute
     */
    public static PeftHiwiConfig read(Path path) {
        return new PeftHiwiConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftHiwiConfig parse(String where, String json) {
        return new PeftHiwiConfig(JsonFields.parse(where, json));
    }

    /** A new configuration, with relu. */
    public static PeftHiwiConfig of(String baseModel, List<String> targets, int rank) {
        ObjectNode json = fresh("HIWI", baseModel, targets);
        json.put("non_linearity", "relu").put("r", rank);
        return new PeftHiwiConfig(new JsonFields("new HiWi configuration", json));
    }

    /** The width of the adapters. */
    public int rank() {
        return rank;
    }

    /** The activation: relu or tanh. */
    public String nonLinearity() {
        return nonLinearity;
    }
}
