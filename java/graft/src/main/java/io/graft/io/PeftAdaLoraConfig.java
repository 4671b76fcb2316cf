package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The {@code adapter_config.json} of an AdaLoRA adapter (arXiv 2303.10512), as PEFT reads and writes it. Its {@code
 * rank_pattern} says, for each {@code lora_E}, which of the {@code init_r} triplets are left.
 */
public final class PeftAdaLoraConfig extends PeftConfig {
    /**
     * When ranks are given up: from step {@code initial} on, every {@code interval} steps, until {@code last} steps before
     * {@code total} (PEFT's tinit, deltaT, tfinal, total_step).
     */
    public record Schedule(int initial, int last, int interval, int total) {
        /** A tenth of the steps at full rank, three tenths at the final one, about a hundred cuts between them. */
        public static Schedule of(int total) {
            return new Schedule(total / 10, 3 * total / 10, Math.max(1, total / 100), total);
        }
    }

    private static final String PREFIX = "base_model.model.";

    private final int initialRank;
    private final int targetRank;
    private final double alpha;
    private final double dropout;
    private final double beta1;
    private final double beta2;
    private final double orthogonality;
    private final Schedule schedule;
    private final Map<String, boolean[]> left;

    PeftAdaLoraConfig(JsonFields fields) {
        super(fields, "ADALORA", PeftTargets.LLAMA);
        refuseUnless(fields, "bias", Json.toNode("none"));
        refuseUnless(fields, "fan_in_fan_out", Json.toNode(false));
        refuseUnless(fields, "init_lora_weights", Json.toNode(true));
        refuseUnless(fields, "use_rslora", Json.toNode(false));
        refuseUnless(fields, "use_dora", Json.toNode(false));
        this.initialRank = fields.positive("init_r", 12);
        this.targetRank = fields.positive("target_r", 8);
        double given = fields.number("lora_alpha", 8);
        this.alpha = given > 0 ? given : initialRank;
        this.dropout = within(fields, "lora_dropout", 0, 0);
        this.beta1 = within(fields, "beta1", 0.85, Double.MIN_VALUE);
        this.beta2 = within(fields, "beta2", 0.85, Double.MIN_VALUE);
        this.orthogonality = fields.number("orth_reg_weight", 0.5);
        this.schedule = new Schedule(
                (int) fields.number("tinit", 0),
                (int) fields.number("tfinal", 0),
                fields.positive("deltaT", 1),
                fields.positive("total_step", 1));
        if (!(orthogonality >= 0)) {
            throw fields.refuse("orth_reg_weight", "is " + orthogonality + ", expected at least 0");
        }
        if (schedule.initial() < 0 || schedule.last() < 0) {
            throw fields.refuse("tinit", "and tfinal are " + schedule.initial() + " and " + schedule.last());
        }
        if (schedule.initial() >= schedule.total() - schedule.last()) {
            throw fields.refuse("tinit", "is " + schedule.initial() + ", not before total_step - tfinal");
        }
        this.left = patterns(fields, initialRank);
    }

    private static double within(JsonFields fields, String name, double otherwise, double least) {
        double value = fields.number(name, otherwise);
        if (!(value >= least && value < 1)) {
            throw fields.refuse(name, "is " + value + ", expected " + (least > 0 ? "0 < x < 1" : "0 <= x < 1"));
        }
        return value;
    }

    private static Map<String, boolean[]> patterns(JsonFields fields, int rank) {
        Map<String, boolean[]> patterns = new HashMap<>();
        JsonNode all = fields.node("rank_pattern");
        if (all == null || all.isNull()) {
            return patterns;
        }
        for (Map.Entry<String, JsonNode> entry : all.properties()) {
            JsonNode flags = entry.getValue();
            if (!flags.isArray() || flags.size() != rank) {
                throw fields.refuse(
                        "rank_pattern",
                        "of " + entry.getKey() + " is " + flags + ", expected " + rank + " of true, false");
            }
            boolean[] pattern = new boolean[rank];
            for (int i = 0; i < rank; i++) {
                pattern[i] = flags.get(i).asBoolean();
            }
            patterns.put(entry.getKey(), pattern);
        }
        return patterns;
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of an AdaLoRA adapter, or asks for what Graft does not compute
     */
    public static PeftAdaLoraConfig read(Path path) {
        return new PeftAdaLoraConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftAdaLoraConfig parse(String where, String json) {
        return new PeftAdaLoraConfig(JsonFields.parse(where, json));
    }

    /**
     * A new configuration.
     *
     * @param initialRank triplets of each module at the start
     * @param targetRank triplets of each module at the end, on average
     */
    public static PeftAdaLoraConfig of(
            String baseModel,
            List<String> targets,
            int initialRank,
            int targetRank,
            double alpha,
            double dropout,
            Schedule schedule) {
        ObjectNode json = PeftLoraConfig.builder()
                .baseModel(baseModel)
                .alpha(alpha)
                .dropout(dropout)
                .targets(targets.toArray(String[]::new))
                .build()
                .json()
                .deepCopy();
        json.put("peft_type", "ADALORA").put("init_r", initialRank).put("target_r", targetRank);
        json.put("beta1", 0.85).put("beta2", 0.85).put("orth_reg_weight", 0.5);
        json.put("tinit", schedule.initial()).put("tfinal", schedule.last());
        json.put("deltaT", schedule.interval()).put("total_step", schedule.total());
        json.putNull("rank_pattern");
        return new PeftAdaLoraConfig(new JsonFields("new AdaLoRA configuration", json));
    }

    /** The same with what is left of each module's triplets; modules of {@code init_r} triplets need not be named. */
    public PeftAdaLoraConfig withLeft(Map<String, boolean[]> modules) {
        ObjectNode json = json().deepCopy();
        ObjectNode pattern = json.putObject("rank_pattern");
        modules.forEach((module, flags) -> pattern.set(PREFIX + module + ".lora_E", Json.toNode(flags)));
        return new PeftAdaLoraConfig(new JsonFields("AdaLoRA configuration", json));
    }

    /** How many triplets a module has in a file of this configuration. */
    public int rank(String module) {
        boolean[] flags = left.get(PREFIX + module + ".lora_E");
        int count = flags == null ? initialRank : 0;
        for (int i = 0; flags != null && i < flags.length; i++) {
            count += flags[i] ? 1 : 0;
        }
        return count;
    }

    /** Whether no module has given a triplet up. */
    public boolean complete() {
        return left.isEmpty();
    }

    /** Triplets of each module at the start. */
    public int initialRank() {
        return initialRank;
    }

    /** Triplets of each module at the end, on average. */
    public int targetRank() {
        return targetRank;
    }

    /** What a module's B E A is multiplied by; as in PEFT it stays that of the initial rank. */
    public double scale() {
        return alpha / (initialRank + 1e-5);
    }

    /** The probability that an element of an adapter's input is dropped in training. */
    public double dropout() {
        return dropout;
    }

    /** Weight of the old mean in the running mean of sensitivity. */
    public double beta1() {
        return beta1;
    }

    /** Weight of the old mean in the running mean of its uncertainty. */
    public double beta2() {
        return beta2;
    }

    /** What the mean of ‖A Aᵀ - I‖ and ‖Bᵀ B - I‖ is multiplied by in the loss. */
    public double orthogonality() {
        return orthogonality;
    }

    /** When ranks are given up. */
    public Schedule schedule() {
        return schedule;
    }

    @Override
    public String toString() {
        return "PeftAdaLoraConfig[init_r=" + initialRank + ", target_r=" + targetRank + ", target_modules="
                + json().get("target_modules") + "]";
    }
}
