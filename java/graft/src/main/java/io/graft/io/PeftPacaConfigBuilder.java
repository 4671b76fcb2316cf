package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;

/** Builds the configuration of a new PaCA adapter, with all fields that its readers look for. */
public final class PeftPacaConfigBuilder {
    private static final String[] NULLS = {
        "auto_mapping",
        "base_model_name_or_path",
        "exclude_modules",
        "layers_pattern",
        "layers_to_transform",
        "modules_to_save",
        "revision",
        "target_modules"
    };

    private final ObjectNode json = Json.newObject();

    PeftPacaConfigBuilder() {
        for (String field : NULLS) {
            json.putNull(field);
        }
        json.putObject("alpha_pattern");
        json.putObject("rank_pattern");
        json.put("bias", "none").put("fan_in_fan_out", false).put("init_weights", true);
        json.put("inference_mode", true).put("peft_type", "PACA").put("peft_version", "0.21.0");
        json.put("task_type", "CAUSAL_LM").put("random_seed", 0).put("r", 8).put("paca_alpha", 8);
    }

    /** The number of trained columns of every module. */
    public PeftPacaConfigBuilder rank(int rank) {
        json.put("r", rank);
        return this;
    }

    /** The alpha of every module. */
    public PeftPacaConfigBuilder alpha(double alpha) {
        json.set("paca_alpha", PeftLoraConfigBuilder.number(alpha));
        return this;
    }

    /** Modules that get trained columns, by name or last part of it. */
    public PeftPacaConfigBuilder targets(String... modules) {
        json.set("target_modules", Json.toNode(modules));
        return this;
    }

    /** Modules that get trained columns: one regular expression of the whole name, or "all-linear". */
    public PeftPacaConfigBuilder targetPattern(String expression) {
        json.put("target_modules", expression);
        return this;
    }

    /** Modules that get none, whatever the targets say. */
    public PeftPacaConfigBuilder exclude(String... modules) {
        json.set("exclude_modules", Json.toNode(modules));
        return this;
    }

    /** Modules that are trained and saved whole. */
    public PeftPacaConfigBuilder modulesToSave(String... modules) {
        json.set("modules_to_save", Json.toNode(modules));
        return this;
    }

    /** Other ranks for the modules that match a key. */
    public PeftPacaConfigBuilder rankPattern(Map<String, Integer> ranks) {
        json.set("rank_pattern", Json.toNode(ranks));
        return this;
    }

    /** Other alphas for the modules that match a key. */
    public PeftPacaConfigBuilder alphaPattern(Map<String, Double> alphas) {
        ObjectNode node = json.putObject("alpha_pattern");
        alphas.forEach((key, alpha) -> node.set(key, PeftLoraConfigBuilder.number(alpha)));
        return this;
    }

    /** The seed that columns are drawn with. */
    public PeftPacaConfigBuilder randomSeed(long seed) {
        json.put("random_seed", seed);
        return this;
    }

    /** The name or path of the base model. */
    public PeftPacaConfigBuilder baseModel(String name) {
        json.put("base_model_name_or_path", name);
        return this;
    }

    /**
     * Checks and makes the configuration.
     *
     * @throws FormatException if a value is out of range
     */
    public PeftPacaConfig build() {
        return new PeftPacaConfig(new JsonFields("new PaCA configuration", json.deepCopy()));
    }
}
