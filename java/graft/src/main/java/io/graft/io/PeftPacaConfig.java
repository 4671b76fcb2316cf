package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;

/**
 * The {@code adapter_config.json} of a PaCA adapter (arXiv 2503.01905), as the authors' fork of PEFT and Hugging Face's
 * own version write it: which modules have trained columns, how many, and their scale.
 * Build a new one with {@link #builder()}.
 */
public final class PeftPacaConfig extends PeftConfig {
    private final int rank;
    private final double alpha;
    private final PeftTargets.Values<Integer> ranks;
    private final PeftTargets.Values<Double> alphas;
    private final long randomSeed;

    PeftPacaConfig(String file, ObjectNode json) {
        this(new JsonFields(file, json), json);
    }

    private PeftPacaConfig(JsonFields fields, ObjectNode json) {
        super(fields, json, "PACA", PeftTargets.LLAMA);
        refuseUnless(fields, "bias", "none");
        refuseUnless(fields, "fan_in_fan_out", "false");
        refuseUnless(fields, "init_weights", "true");
        this.rank = fields.positive("r", 8);
        this.alpha = fields.number("paca_alpha", 8);
        this.ranks = new PeftTargets.Values<>(fields, "rank_pattern", JsonFields::positive, rank);
        this.alphas = new PeftTargets.Values<>(fields, "alpha_pattern", JsonFields::number, alpha);
        double seed = fields.number("random_seed", 0);
        if (seed != Math.rint(seed) || Math.abs(seed) > 1L << 53) {
            throw fields.refuse("random_seed", "is " + seed + ", expected a whole number");
        }
        this.randomSeed = (long) seed;
    }

    private static void refuseUnless(JsonFields fields, String field, String only) {
        JsonNode value = fields.node(field);
        if (value != null && !value.asText().equalsIgnoreCase(only)) {
            throw fields.refuse(field, "is " + value + ", supported is " + only);
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a PaCA adapter, or asks for what Graft does not compute
     */
    public static PeftPacaConfig read(Path path) {
        Path file = file(path);
        return new PeftPacaConfig(file.toString(), Json.readObject(file));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftPacaConfig parse(String where, String json) {
        return new PeftPacaConfig(where, Json.readObject(where, json));
    }

    /** A configuration with PEFT's defaults, to be changed field by field. */
    public static Builder builder() {
        return new Builder();
    }

    /** The number of trained columns of a module. */
    public int rank(String module) {
        return ranks.of(module);
    }

    /** What a module's delta is multiplied by: alpha / r. */
    public double scale(String module) {
        return alphas.of(module) / rank(module);
    }

    /** The seed that columns are drawn with. */
    public long randomSeed() {
        return randomSeed;
    }

    @Override
    public String toString() {
        return "PeftPacaConfig[r=" + rank + ", alpha=" + alpha + ", target_modules=" + json().get("target_modules")
                + "]";
    }

    /** Builds the configuration of a new adapter. */
    public static final class Builder {
        private final ObjectNode json = Json.newObject();

        private Builder() {
            for (String field : new String[] {
                "auto_mapping",
                "base_model_name_or_path",
                "exclude_modules",
                "layers_pattern",
                "layers_to_transform",
                "modules_to_save",
                "revision",
                "target_modules"
            }) {
                json.putNull(field);
            }
            json.putObject("alpha_pattern");
            json.putObject("rank_pattern");
            json.put("bias", "none").put("fan_in_fan_out", false).put("init_weights", true);
            json.put("inference_mode", true).put("peft_type", "PACA").put("peft_version", "0.21.0");
            json.put("task_type", "CAUSAL_LM").put("random_seed", 0).put("r", 8).put("paca_alpha", 8);
        }

        /** The number of trained columns of every module. */
        public Builder rank(int rank) {
            json.put("r", rank);
            return this;
        }

        /** The alpha of every module. */
        public Builder alpha(double alpha) {
            json.set("paca_alpha", PeftLoraConfigBuilder.number(alpha));
            return this;
        }

        /** Modules that get trained columns, by name or last part of it. */
        public Builder targets(String... modules) {
            json.set("target_modules", Json.toNode(modules));
            return this;
        }

        /** Modules that get trained columns: one regular expression of the whole name, or "all-linear". */
        public Builder targetPattern(String expression) {
            json.put("target_modules", expression);
            return this;
        }

        /** Modules that are trained and saved whole. */
        public Builder modulesToSave(String... modules) {
            json.set("modules_to_save", Json.toNode(modules));
            return this;
        }

        /** The seed that columns are drawn with. */
        public Builder randomSeed(long seed) {
            json.put("random_seed", seed);
            return this;
        }

        /** The name or path of the base model. */
        public Builder baseModel(String name) {
            json.put("base_model_name_or_path", name);
            return this;
        }

        /**
         * Checks and makes the configuration.
         *
         * @throws FormatException if a value is out of range
         */
        public PeftPacaConfig build() {
            return new PeftPacaConfig("new PaCA configuration", json.deepCopy());
        }
    }
}
