package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;

/** What the {@code adapter_config.json} of PEFT's two adapters from LyCORIS (arXiv 2309.14859), LoKr and LoHa, share. */
public abstract sealed class PeftLycorisConfig extends PeftConfig permits PeftLokrConfig, PeftLohaConfig {
    private final PeftTargets.Values<Integer> ranks;
    private final PeftTargets.Values<Double> alphas;
    private final String initialisation;

    PeftLycorisConfig(JsonFields fields, String type, List<String> initialisations) {
        super(fields, type, PeftTargets.LLAMA);
        for (String dropped : List.of("rank_dropout", "module_dropout")) {
            double probability = fields.number(dropped, 0);
            if (probability != 0) {
                throw fields.refuse(dropped, "is " + probability + ", supported is 0");
            }
        }
        JsonNode start = fields.node("init_weights");
        this.initialisation = start == null ? "true" : start.asText();
        if (!initialisations.contains(initialisation)) {
            throw fields.refuse("init_weights", "is " + start + ", supported are " + initialisations);
        }
        this.ranks = new PeftTargets.Values<>(fields, "rank_pattern", JsonFields::positive, fields.positive("r", 8));
        this.alphas = new PeftTargets.Values<>(fields, "alpha_pattern", JsonFields::number, fields.number("alpha", 8));
    }

    /** What every new configuration of the two holds. */
    static ObjectNode fresh(String type, String baseModel, List<String> targets, int rank, double alpha) {
        ObjectNode json = fresh(type, baseModel);
        json.putNull("exclude_modules").putNull("layers_pattern").putNull("layers_to_transform");
        json.put("init_weights", true).put("module_dropout", 0.0).put("rank_dropout", 0.0);
        json.put("use_effective_conv2d", false);
        json.put("r", rank).set("alpha", PeftLoraConfigBuilder.number(alpha));
        json.putObject("rank_pattern");
        json.putObject("alpha_pattern");
        json.set("target_modules", Json.toNode(targets));
        return json;
    }

    /** r of a module. */
    public int rank(String module) {
        return ranks.of(module);
    }

    /** What a module's product is multiplied by: alpha / r. */
    public double scale(String module) {
        return alphas.of(module) / rank(module);
    }

    /** {@code init_weights} as text; "true" is the base model. */
    public String initialisation() {
        return initialisation;
    }
}
