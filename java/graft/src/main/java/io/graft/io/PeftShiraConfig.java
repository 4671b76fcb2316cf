package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of a SHiRA adapter (arXiv 2406.13175), as PEFT reads and writes it: of each targeted
 * module {@code r · (in + out)} entries are trained, as many as LoRA of rank r has numbers.
 *
 * <p>{@code mask_type} says how the entries were chosen. PEFT knows {@code random}; any other it takes as a name for
 * entries that the file brings along.
 */
public final class PeftShiraConfig extends PeftConfig {
    /** The mask type that PEFT makes by itself. */
    public static final String RANDOM = "random";

    private final int rank;
    private final String maskType;
    private final long randomSeed;

    PeftShiraConfig(JsonFields fields) {
        super(fields, "SHIRA", PeftTargets.LLAMA);
        refuseUnless(fields, "fan_in_fan_out", Json.toNode(false));
        refuseUnless(fields, "init_weights", Json.toNode(true));
        this.rank = fields.positive("r", 32);
        this.maskType = fields.text("mask_type", RANDOM);
        this.randomSeed = fields.whole("random_seed", 0);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a SHiRA adapter, or asks for what Graft does not compute
     */
    public static PeftShiraConfig read(Path path) {
        return new PeftShiraConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftShiraConfig parse(String where, String json) {
        return new PeftShiraConfig(JsonFields.parse(where, json));
    }

    /**
     * A new configuration.
     *
     * @param rank r: a module has {@code r · (in + out)} trained entries
     * @param maskType how they are chosen, e.g. {@link #RANDOM}
     * @param seed of random entries
     */
    public static PeftShiraConfig of(String baseModel, List<String> targets, int rank, String maskType, long seed) {
        ObjectNode json = fresh("SHIRA", baseModel);
        json.put("fan_in_fan_out", false).put("init_weights", true);
        json.put("r", rank).put("mask_type", maskType).put("random_seed", seed);
        json.set("target_modules", Json.toNode(targets));
        return new PeftShiraConfig(new JsonFields("new SHiRA configuration", json));
    }

    /** The same with so many entries for each module, r · (in + out). */
    public PeftShiraConfig withRank(int value) {
        return new PeftShiraConfig(
                new JsonFields("SHiRA configuration", json().deepCopy().put("r", value)));
    }

    /** r. */
    public int rank() {
        return rank;
    }

    /** The number of trained entries of a module: at most all that it has, beyond which PEFT reads no file. */
    public long entries(long outputs, long inputs) {
        return Math.min(rank * (outputs + inputs), outputs * inputs);
    }

    /** How the entries were chosen. */
    public String maskType() {
        return maskType;
    }

    /** The seed of random entries; 0 where the file names none. */
    public long randomSeed() {
        return randomSeed;
    }

    @Override
    public String toString() {
        return "PeftShiraConfig[r=" + rank + ", mask_type=" + maskType + ", target_modules="
                + json().get("target_modules") + "]";
    }
}
