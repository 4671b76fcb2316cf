package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** The {@code adapter_config.json} of a HiRA adapter (ICLR 2025), as PEFT reads and writes it; without dropout. */
public final class PeftHiraConfig extends PeftConfig {
    private static final Set<String> STARTS = Set.of("true", "false", "gaussian");

    private final int rank;
    private final PeftTargets.Values<Integer> ranks;
    private final String initialisation;

    PeftHiraConfig(JsonFields fields) {
        super(fields, "HIRA", PeftTargets.LLAMA);
        double dropout = fields.number("hira_dropout", 0);
        if (dropout != 0) {
            throw fields.refuse("hira_dropout", "is " + dropout + ", supported is 0");
        }
        JsonNode start = fields.node("init_weights");
        this.initialisation = start == null ? "true" : start.asText();
        if (!STARTS.contains(initialisation)) {
            throw fields.refuse("init_weights", "is " + start + ", supported are true, false and gaussian");
        }
        this.rank = fields.positive("r", 32);
        this.ranks = new PeftTargets.Values<>(fields, "rank_pattern", JsonFields::positive, rank);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a HiRA adapter, or asks for what Graft does not compute
     */
    public static PeftHiraConfig read(Path path) {
        return new PeftHiraConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftHiraConfig parse(String where, String json) {
        return new PeftHiraConfig(JsonFields.parse(where, json));
    }

    /** A new configuration. */
    public static PeftHiraConfig of(String baseModel, List<String> targets, int rank) {
        ObjectNode json = fresh("HIRA", baseModel, targets);
        json.putNull("layers_pattern").putNull("layers_to_transform");
        json.put("fan_in_fan_out", false)
                .put("hira_dropout", 0.0)
                .put("init_weights", true)
                .put("r", rank);
        json.putObject("rank_pattern");
        return new PeftHiraConfig(new JsonFields("new HiRA configuration", json));
    }

    /** r of a module. */
    public int rank(String module) {
        return ranks.of(module);
    }

    /** {@code init_weights} as text; "true" and "gaussian" start at the base model. */
    public String initialisation() {
        return initialisation;
    }
}
