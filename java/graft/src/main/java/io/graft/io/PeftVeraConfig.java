package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of a VeRA adapter (arXiv 2310.11454), as PEFT reads and writes it. Its shared matrices
 * come from the adapter's file: a file without them ({@code save_projection} false) relies on the random numbers of the
 * library that made it, and is refused.
 */
public final class PeftVeraConfig extends PeftConfig {
    private final int rank;
    private final double dropout;
    private final double initialScale;
    private final long seed;

    PeftVeraConfig(JsonFields fields) {
        super(fields, "VERA", PeftTargets.LLAMA);
        refuseUnless(fields, "bias", Json.toNode("none"));
        refuseUnless(fields, "fan_in_fan_out", Json.toNode(false));
        refuseUnless(fields, "init_weights", Json.toNode(true));
        refuseUnless(fields, "save_projection", Json.toNode(true));
        this.rank = fields.positive("r", 256);
        this.dropout = fields.number("vera_dropout", 0);
        if (!(dropout >= 0 && dropout < 1)) {
            throw fields.refuse("vera_dropout", "is " + dropout + ", expected 0 <= p < 1");
        }
        this.initialScale = fields.number("d_initial", 0.1);
        this.seed = (long) fields.number("projection_prng_key", 0);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a VeRA adapter, or asks for what Graft does not compute
     */
    public static PeftVeraConfig read(Path path) {
        return new PeftVeraConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftVeraConfig parse(String where, String json) {
        return new PeftVeraConfig(JsonFields.parse(where, json));
    }

    /**
     * A new configuration.
     *
     * @param rank columns of the shared matrices
     * @param dropout of the adapters' input
     * @param seed of the shared matrices, 0 … 2³¹ - 1
     */
    public static PeftVeraConfig of(String baseModel, List<String> targets, int rank, double dropout, long seed) {
        ObjectNode json = fresh("VERA", baseModel);
        json.putNull("layers_pattern").putNull("layers_to_transform");
        json.put("bias", "none").put("fan_in_fan_out", false).put("init_weights", true);
        json.put("save_projection", true).put("projection_prng_key", seed).put("d_initial", 0.1);
        json.put("r", rank).put("vera_dropout", dropout);
        json.set("target_modules", Json.toNode(targets));
        return new PeftVeraConfig(new JsonFields("new VeRA configuration", json));
    }

    /** Rows of the shared A, columns of the shared B. */
    public int rank() {
        return rank;
    }

    /** The probability that an element of an adapter's input is dropped in training. */
    public double dropout() {
        return dropout;
    }

    /** What the scales of A's rows start at. */
    public double initialScale() {
        return initialScale;
    }

    /** The seed of the shared matrices. */
    public long seed() {
        return seed;
    }
}
