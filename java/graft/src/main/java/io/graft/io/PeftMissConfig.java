package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of a MiSS adapter (arXiv 2409.15371), as PEFT reads and writes it. Its variants {@code
 * bat}, whose update depends on W, and {@code mini}, whose blocks repeat along the outputs, are refused.
 */
public final class PeftMissConfig extends PeftConfig {
    private final int rank;
    private final double dropout;
    private final boolean startsAtBase;

    PeftMissConfig(JsonFields fields) {
        super(fields, "MISS", PeftTargets.LLAMA);
        refuseUnless(fields, "bias", Json.toNode("none"));
        JsonNode start = fields.node("init_weights");
        if (start != null && !start.isBoolean()) {
            throw fields.refuse("init_weights", "is " + start + ", supported are true and false");
        }
        this.startsAtBase = start == null || start.booleanValue();
        this.rank = fields.positive("r", 64);
        this.dropout = fields.number("miss_dropout", 0);
        if (!(dropout >= 0 && dropout < 1)) {
            throw fields.refuse("miss_dropout", "is " + dropout + ", expected 0 <= p < 1");
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a MiSS adapter, or asks for what Graft does not compute
     */
    public static PeftMissConfig read(Path path) {
        return new PeftMissConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftMissConfig parse(String where, String json) {
        return new PeftMissConfig(JsonFields.parse(where, json));
    }

    /**
     * A new configuration.
     *
     * @param rank r: rows of the trained block
     * @param dropout of the adapters' input
     */
    public static PeftMissConfig of(String baseModel, List<String> targets, int rank, double dropout) {
        ObjectNode json = fresh("MISS", baseModel, targets);
        json.putNull("layers_pattern").putNull("layers_to_transform");
        json.put("bias", "none").put("init_weights", true).put("mini_r", 1);
        json.put("r", rank).put("miss_dropout", dropout);
        return new PeftMissConfig(new JsonFields("new MiSS configuration", json));
    }

    /** Rows of the trained block. */
    public int rank() {
        return rank;
    }

    /** The probability that an element of an adapter's input is dropped in training. */
    public double dropout() {
        return dropout;
    }

    /** Whether fresh blocks are zero; else they are random. */
    public boolean startsAtBase() {
        return startsAtBase;
    }
}
