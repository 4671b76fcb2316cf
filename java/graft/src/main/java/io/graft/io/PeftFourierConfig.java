package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/** The {@code adapter_config.json} of a FourierFT adapter (arXiv 2405.03003), as PEFT reads and writes it. */
public final class PeftFourierConfig extends PeftConfig {
    private final int frequencies;
    private final PeftTargets.Values<Integer> pattern;
    private final double scaling;
    private final long seed;
    private final boolean startsAtBase;

    PeftFourierConfig(JsonFields fields) {
        super(fields, "FOURIERFT", PeftTargets.LLAMA);
        refuseUnless(fields, "bias", Json.toNode("none"));
        this.frequencies = fields.positive("n_frequency", 1000);
        this.pattern = new PeftTargets.Values<>(fields, "n_frequency_pattern", JsonFields::positive, frequencies);
        this.scaling = fields.number("scaling", 150);
        this.seed = fields.whole("random_loc_seed", 777);
        this.startsAtBase = fields.flag("init_weights", false);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a FourierFT adapter, or asks for what Graft does not compute
     */
    public static PeftFourierConfig read(Path path) {
        return new PeftFourierConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftFourierConfig parse(String where, String json) {
        return new PeftFourierConfig(JsonFields.parse(where, json));
    }

    /**
     * A new configuration.
     *
     * @param frequencies trained entries of each layer's spectrum
     * @param seed says where they are
     */
    public static PeftFourierConfig of(
            String baseModel, List<String> targets, int frequencies, double scaling, long seed) {
        ObjectNode json = fresh("FOURIERFT", baseModel, targets);
        json.putNull("layers_pattern").putNull("layers_to_transform");
        json.put("bias", "none").put("fan_in_fan_out", false).put("init_weights", true);
        json.put("n_frequency", frequencies).put("random_loc_seed", seed).put("scaling", scaling);
        json.putObject("n_frequency_pattern");
        return new PeftFourierConfig(new JsonFields("new FourierFT configuration", json));
    }

    /** Trained entries of a module's spectrum. */
    public int frequencies(String module) {
        return pattern.of(module);
    }

    /** What a module's matrix is multiplied by. */
    public double scaling() {
        return scaling;
    }

    /** What the places of the entries are drawn from, the same for all modules. */
    public long seed() {
        return seed;
    }

    /** Whether fresh entries are zero; else they are N(0, 1). */
    public boolean startsAtBase() {
        return startsAtBase;
    }

    @Override
    public String toString() {
        return "PeftFourierConfig[n_frequency=" + frequencies + ", target_modules=" + json().get("target_modules")
                + "]";
    }
}
