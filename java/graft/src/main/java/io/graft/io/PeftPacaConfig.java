package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.Map;

/**
 * The {@code adapter_config.json} of a PaCA adapter (arXiv 2503.01905), as the authors' fork of PEFT and Hugging Face's
 * own version write it: which modules have trained columns, how many, and their scale.
 *
 * <p>Build a new one with {@link #builder()}.
 */
public final class PeftPacaConfig extends PeftConfig {
    private final int rank;
    private final double alpha;
    private final PeftTargets.Values<Integer> ranks;
    private final PeftTargets.Values<Double> alphas;
    private final long randomSeed;

    PeftPacaConfig(JsonFields fields) {
        super(fields, "PACA", PeftTargets.LLAMA);
        refuseUnless(fields, "bias", Json.toNode("none"));
        refuseUnless(fields, "fan_in_fan_out", Json.toNode(false));
        refuseUnless(fields, "init_weights", Json.toNode(true));
        this.rank = fields.positive("r", 8);
        this.alpha = fields.number("paca_alpha", 8);
        this.ranks = new PeftTargets.Values<>(fields, "rank_pattern", JsonFields::positive, rank);
        this.alphas = new PeftTargets.Values<>(fields, "alpha_pattern", JsonFields::number, alpha);
        this.randomSeed = fields.whole("random_seed", 0);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a PaCA adapter, or asks for what Graft does not compute
     */
    public static PeftPacaConfig read(Path path) {
        return new PeftPacaConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftPacaConfig parse(String where, String json) {
        return new PeftPacaConfig(JsonFields.parse(where, json));
    }

    /** A configuration with PEFT's defaults, to be changed field by field. */
    public static PeftPacaConfigBuilder builder() {
        return new PeftPacaConfigBuilder();
    }

    /** The same with other numbers of columns for some modules, whose scale stays as it is. */
    public PeftPacaConfig withRanks(Map<String, Integer> modules) {
        ObjectNode json = json().deepCopy();
        ObjectNode newRanks = Json.newObject();
        ObjectNode newAlphas = Json.newObject();
        modules.forEach((module, r) -> {
            newRanks.put(module, r);
            newAlphas.set(module, PeftLoraConfigBuilder.number(scale(module) * r));
        });
        // why: the first pattern that matches counts.
        if (json.get("rank_pattern") instanceof ObjectNode before) {
            newRanks.setAll(before);
        }
        if (json.get("alpha_pattern") instanceof ObjectNode before) {
            newAlphas.setAll(before);
        }
        json.set("rank_pattern", newRanks);
        json.set("alpha_pattern", newAlphas);
        return new PeftPacaConfig(new JsonFields("PaCA configuration", json));
    }

    /** The configuration of the LoRA adapter that does the same: A selects the columns, B is the delta. */
    public PeftLoraConfig asLora() {
        return PeftLoraConfig.of(this, rank, alpha, "rank_pattern", "alpha_pattern");
    }

    /** The number of trained columns of a module. */
    public int rank(String module) {
        return ranks.of(module);
    }

    /** The alpha of a module. */
    public double alpha(String module) {
        return alphas.of(module);
    }

    /** What a module's delta is multiplied by: alpha / r. */
    public double scale(String module) {
        return alpha(module) / rank(module);
    }

    /** The rank where no pattern says otherwise. */
    public int rank() {
        return rank;
    }

    /** The alpha where no pattern says otherwise. */
    public double alpha() {
        return alpha;
    }

    /** The seed that columns are drawn with; 0 where the file names none. */
    public long randomSeed() {
        return randomSeed;
    }

    @Override
    public String toString() {
        return "PeftPacaConfig[r=" + rank + ", alpha=" + alpha + ", target_modules=" + json().get("target_modules")
                + "]";
    }
}
