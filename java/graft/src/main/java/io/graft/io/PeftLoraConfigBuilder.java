package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;

/** Builds the configuration of a new adapter, with all of PEFT's fields so that its readers miss none. */
public final class PeftLoraConfigBuilder {
    private static final String[] NULLS = {
        "alora_invocation_tokens",
        "arrow_config",
        "auto_mapping",
        "base_model_name_or_path",
        "corda_config",
        "eva_config",
        "exclude_modules",
        "kasa_config",
        "layer_replication",
        "layers_pattern",
        "layers_to_transform",
        "lora_ga_config",
        "megatron_config",
        "modules_to_save",
        "monteclora_config",
        "revision",
        "target_modules",
        "target_parameters",
        "trainable_token_indices",
        "use_bdlora",
        "velora_config"
    };
    private static final String[] FALSES = {
        "ensure_weight_tying", "fan_in_fan_out", "lora_bias", "use_dora", "use_qalora", "use_rslora"
    };

    private final ObjectNode json = Json.newObject();

    PeftLoraConfigBuilder() {
        for (String field : NULLS) {
            json.putNull(field);
        }
        for (String field : FALSES) {
            json.put(field, false);
        }
        for (String field : new String[] {"alpha_pattern", "rank_pattern", "loftq_config"}) {
            json.putObject(field);
        }
        json.put("bias", "none").put("inference_mode", true).put("init_lora_weights", true);
        json.put("megatron_core", "megatron.core").put("qalora_group_size", 16);
        json.put("peft_type", "LORA").put("peft_version", "0.21.0").put("task_type", "CAUSAL_LM");
        json.put("r", 8).put("lora_alpha", 8).put("lora_dropout", 0.0);
    }

    /** The rank of all adapters. */
    public PeftLoraConfigBuilder rank(int rank) {
        json.put("r", rank);
        return this;
    }

    /** The alpha of all adapters. */
    public PeftLoraConfigBuilder alpha(double alpha) {
        json.set("lora_alpha", number(alpha));
        return this;
    }

    /** The dropout of the adapters' input. */
    public PeftLoraConfigBuilder dropout(double dropout) {
        json.put("lora_dropout", dropout);
        return this;
    }

    /** Modules that carry an adapter, by name or last part of it. */
    public PeftLoraConfigBuilder targets(String... modules) {
        json.set("target_modules", Json.toNode(modules));
        return this;
    }

    /** Modules that carry an adapter: one regular expression of the whole name, or "all-linear". */
    public PeftLoraConfigBuilder targetPattern(String expression) {
        json.put("target_modules", expression);
        return this;
    }

    /** Modules that carry none, whatever the targets say. */
    public PeftLoraConfigBuilder exclude(String... modules) {
        json.set("exclude_modules", Json.toNode(modules));
        return this;
    }

    /** Other ranks for the modules that match a key. */
    public PeftLoraConfigBuilder rankPattern(Map<String, Integer> ranks) {
        json.set("rank_pattern", Json.toNode(ranks));
        return this;
    }

    /** Other alphas for the modules that match a key. */
    public PeftLoraConfigBuilder alphaPattern(Map<String, Double> alphas) {
        ObjectNode node = json.putObject("alpha_pattern");
        alphas.forEach((key, alpha) -> node.set(key, number(alpha)));
        return this;
    }

    /** Scale by alpha / √r instead of alpha / r. */
    public PeftLoraConfigBuilder rankStabilised(boolean on) {
        json.put("use_rslora", on);
        return this;
    }

    /** Trained lengths of the rows of the adapted weight (DoRA). */
    public PeftLoraConfigBuilder weightDecomposed(boolean on) {
        json.put("use_dora", on);
        return this;
    }

    /** Biases of the base that are trained too: none, all, or lora_only. */
    public PeftLoraConfigBuilder biases(String which) {
        json.put("bias", which);
        return this;
    }

    /** The name or path of the base model. */
    public PeftLoraConfigBuilder baseModel(String name) {
        json.put("base_model_name_or_path", name);
        return this;
    }

    /**
     * Checks and makes the configuration.
     *
     * @throws FormatException if a value is out of range
     */
    public PeftLoraConfig build() {
        return new PeftLoraConfig(new JsonFields("new LoRA configuration", json.deepCopy()));
    }

    /** why: PEFT's own files say 16, not 16.0. */
    static JsonNode number(double value) {
        return value == Math.rint(value) && Math.abs(value) < 1e9 ? Json.toNode((int) value) : Json.toNode(value);
    }
}
