package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The {@code adapter_config.json} of a LoRA adapter, as PEFT reads and writes it: which modules carry an adapter, with
 * which rank and scale.
 *
 * <p>Module names are those of the base model, such as {@code model.layers.0.self_attn.q_proj}. Fields that Graft does
 * not know are kept on a round trip; fields that would change the result in a way Graft does not compute are refused by
 * name. Build a new one with {@link #builder()}.
 */
public final class PeftLoraConfig extends PeftConfig {
    private final int rank;
    private final double alpha;
    private final double dropout;
    private final boolean rankStabilised;
    private final boolean weightDecomposed;
    private final String biases;
    private final PeftTargets.Values<Integer> ranks;
    private final PeftTargets.Values<Double> alphas;

    PeftLoraConfig(JsonFields fields) {
        super(fields, "LORA", PeftTargets.LLAMA);
        PeftLoraSupport.check(fields);
        this.rank = fields.positive("r", 8);
        this.alpha = fields.number("lora_alpha", 8);
        this.dropout = fields.number("lora_dropout", 0);
        if (!(dropout >= 0 && dropout < 1)) {
            throw fields.refuse("lora_dropout", "is " + dropout + ", expected 0 <= p < 1");
        }
        this.rankStabilised = fields.flag("use_rslora", false);
        this.weightDecomposed = fields.flag("use_dora", false);
        this.biases = fields.text("bias", "none");
        this.ranks = new PeftTargets.Values<>(fields, "rank_pattern", JsonFields::positive, rank);
        this.alphas = new PeftTargets.Values<>(fields, "alpha_pattern", JsonFields::number, alpha);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a LoRA adapter, or asks for what Graft does not compute
     */
    public static PeftLoraConfig read(Path path) {
        return new PeftLoraConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftLoraConfig parse(String where, String json) {
        return new PeftLoraConfig(JsonFields.parse(where, json));
    }

    /** A configuration with PEFT's defaults, to be changed field by field. */
    public static PeftLoraConfigBuilder builder() {
        return new PeftLoraConfigBuilder();
    }

    /** LoRA for what another configuration selects, whose fields of these names are its patterns. */
    static PeftLoraConfig of(PeftConfig other, int rank, double alpha, String ranks, String alphas) {
        ObjectNode lora = builder().rank(rank).alpha(alpha).build().json().deepCopy();
        for (String field : new String[] {
            "base_model_name_or_path",
            "exclude_modules",
            "layers_pattern",
            "layers_to_transform",
            "modules_to_save",
            "target_modules"
        }) {
            copy(other, field, lora, field);
        }
        copy(other, ranks, lora, "rank_pattern");
        copy(other, alphas, lora, "alpha_pattern");
        return new PeftLoraConfig(new JsonFields("LoRA form of another configuration", lora));
    }

    private static void copy(PeftConfig from, String name, ObjectNode to, String field) {
        if (from.json().hasNonNull(name)) {
            to.set(field, from.json().get(name).deepCopy());
        }
    }

    /** The configuration of two such adapters beside each other in each module: twice the ranks, the same scales. */
    public PeftLoraConfig doubled() {
        return times(2);
    }

    /** The configuration of so many such adapters beside each other in each module, with the same scales. */
    public PeftLoraConfig times(int count) {
        ObjectNode all = json().deepCopy();
        double factor = rankStabilised ? Math.sqrt(count) : count;
        all.put("r", count * rank);
        all.set("lora_alpha", PeftLoraConfigBuilder.number(factor * alpha));
        multiply(all, "rank_pattern", count);
        multiply(all, "alpha_pattern", factor);
        return new PeftLoraConfig(new JsonFields(count + " LoRA configurations", all));
    }

    /**
     * The configuration with other ranks, given for every module, and the same scales; rank 0: no adapter there.
     */
    public PeftLoraConfig redistributed(Map<String, Integer> given) {
        ObjectNode changed = json().deepCopy();
        ObjectNode newRanks = changed.putObject("rank_pattern");
        ObjectNode newAlphas = changed.putObject("alpha_pattern");
        List<String> modules = new ArrayList<>();
        given.forEach((module, share) -> {
            if (share > 0) {
                modules.add(module);
                double factor = (double) share / rank(module);
                double newAlpha = alpha(module) * (rankStabilised ? Math.sqrt(factor) : factor);
                if (share != rank) {
                    newRanks.put(module, share);
                }
                if (newAlpha != alpha) {
                    newAlphas.set(module, PeftLoraConfigBuilder.number(newAlpha));
                }
            }
        });
        changed.set("target_modules", Json.toNode(modules));
        return new PeftLoraConfig(new JsonFields("redistributed LoRA configuration", changed));
    }

    /** The configuration of the first terms of such an adapter, with the same alphas: ranks above this become it. */
    public PeftLoraConfig atMost(int most) {
        ObjectNode shorter = json().deepCopy();
        shorter.put("r", Math.min(rank, most));
        if (shorter.get("rank_pattern") instanceof ObjectNode pattern) {
            pattern.properties()
                    .forEach(entry ->
                            entry.setValue(Json.toNode(Math.min(entry.getValue().asInt(), most))));
        }
        return new PeftLoraConfig(new JsonFields("shorter LoRA configuration", shorter));
    }

    /**
     * The configuration of one adapter of scale 1 that holds the sum of others: the first one's, with the modules of all.
     *
     * @throws FormatException if the targets of some are an expression and those of others names
     */
    public static PeftLoraConfig sum(List<PeftLoraConfig> terms, int rank) {
        ObjectNode sum = terms.get(0).json().deepCopy();
        sum.put("r", rank).put("lora_alpha", rank).put("use_rslora", false);
        sum.putObject("rank_pattern");
        sum.putObject("alpha_pattern");
        Set<String> targets = new LinkedHashSet<>();
        for (PeftLoraConfig term : terms) {
            JsonNode named = term.json().path("target_modules");
            if (named.isTextual() != sum.path("target_modules").isTextual()) {
                throw new FormatException(
                        "sum of LoRA configurations",
                        "target_modules " + named + " cannot be joined with " + sum.get("target_modules"));
            }
            if (named.isTextual()) {
                targets.add(named.textValue());
            } else {
                named.forEach(name -> targets.add(name.asText()));
            }
        }
        boolean expression = sum.path("target_modules").isTextual();
        if (!expression) {
            sum.set("target_modules", Json.toNode(targets));
        } else if (targets.size() > 1) {
            sum.put(
                    "target_modules",
                    targets.stream().map(one -> "(" + one + ")").collect(Collectors.joining("|")));
        }
        return new PeftLoraConfig(new JsonFields("sum of LoRA configurations", sum));
    }

    private static void multiply(ObjectNode json, String field, double factor) {
        if (json.get(field) instanceof ObjectNode pattern) {
            pattern.properties()
                    .forEach(entry -> entry.setValue(PeftLoraConfigBuilder.number(
                            factor * entry.getValue().asDouble())));
        }
    }

    /** The rank of a module's adapter. */
    public int rank(String module) {
        return ranks.of(module);
    }

    /** The alpha of a module's adapter. */
    public double alpha(String module) {
        return alphas.of(module);
    }

    /** What a module's BA is multiplied by: alpha / r, or alpha / √r where rank-stabilised. */
    public double scale(String module) {
        int r = rank(module);
        return alpha(module) / (rankStabilised ? Math.sqrt(r) : r);
    }

    /** The rank where no pattern says otherwise. */
    public int rank() {
        return rank;
    }

    /** The largest rank of any module. */
    public int largestRank() {
        return Math.max(rank, ranks.all().stream().max(Integer::compare).orElse(0));
    }

    /** The alpha where no pattern says otherwise. */
    public double alpha() {
        return alpha;
    }

    /** The probability that an element of an adapter's input is dropped in training. */
    public double dropout() {
        return dropout;
    }

    /** Whether each row of the adapted weight has a trained length (DoRA). */
    public boolean weightDecomposed() {
        return weightDecomposed;
    }

    /** Whether the bias of a module of the base is trained: of any, or of those that carry an adapter. */
    public boolean trainsBias(String module) {
        return biases.equals("all") || (biases.equals("lora_only") && targets(module));
    }

    /** What such an adapter changes beside what BA adds, as fields of the configuration say it. */
    public List<String> beside() {
        List<String> all = new ArrayList<>();
        if (weightDecomposed) {
            all.add("use_dora");
        }
        if (!modulesToSave().isEmpty()) {
            all.add("modules_to_save " + modulesToSave());
        }
        if (!biases.equals("none")) {
            all.add("bias " + biases);
        }
        return all;
    }

    /** Whether the scale is alpha / √r (rsLoRA). */
    public boolean rankStabilised() {
        return rankStabilised;
    }

    /** {@code init_lora_weights} as text: "true", "false", "gaussian", "orthogonal" or "eva". */
    public String initialisation() {
        return json().hasNonNull("init_lora_weights")
                ? json().get("init_lora_weights").asText()
                : "true";
    }

    @Override
    public String toString() {
        return "PeftLoraConfig[r=" + rank + ", alpha=" + alpha + ", target_modules=" + json().get("target_modules")
                + "]";
    }
}
