package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * The {@code adapter_config.json} of a LoRA adapter, as PEFT reads and writes it: which modules carry an adapter, with
 * which rank and scale.
 *
 * <p>Module names are those of the base model, such as {@code model.layers.0.self_attn.q_proj}. Fields that Graft does
 * not know are kept on a round trip; fields that would change the result in a way Graft does not compute are refused by
 * name. Build a new one with {@link #builder()}.
 */
public final class PeftLoraConfig {
    /** The name of the file in an adapter's directory. */
    public static final String FILE = "adapter_config.json";

    /** What the default targets of PEFT are for Llama models. */
    private static final ModuleMatcher LLAMA_TARGETS = new ModuleMatcher(List.of("q_proj", "v_proj"), null);

    private final ObjectNode json;
    private final int rank;
    private final double alpha;
    private final double dropout;
    private final boolean rankStabilised;
    private final boolean allLinear;
    private final ModuleMatcher targets;
    private final ModuleMatcher excluded;
    private final List<Integer> layers;
    private final List<String> layerContainers;
    private final List<String> modulesToSave;
    private final Map<Pattern, Integer> rankPattern;
    private final Map<Pattern, Double> alphaPattern;
    private final String baseModel;

    PeftLoraConfig(String file, ObjectNode json) {
        JsonFields fields = new JsonFields(file, json);
        PeftLoraSupport.check(fields);
        this.json = json;
        this.rank = fields.positive("r", 8);
        this.alpha = fields.number("lora_alpha", 8);
        this.dropout = fields.number("lora_dropout", 0);
        if (!(dropout >= 0 && dropout < 1)) {
            throw fields.refuse("lora_dropout", "is " + dropout + ", expected 0 <= p < 1");
        }
        this.rankStabilised = fields.flag("use_rslora", false);
        JsonNode target = fields.node("target_modules");
        this.allLinear = target != null && ModuleMatcher.ALL_LINEAR.equalsIgnoreCase(target.textValue());
        this.targets = target == null || allLinear ? LLAMA_TARGETS : ModuleMatcher.of(fields, "target_modules");
        this.excluded = ModuleMatcher.of(fields, "exclude_modules");
        this.layers = fields.integers("layers_to_transform");
        this.layerContainers = fields.texts("layers_pattern");
        for (String container : layerContainers) {
            ModuleMatcher.compile(fields, "layers_pattern", container);
        }
        if (layers.isEmpty() && !layerContainers.isEmpty()) {
            throw fields.refuse("layers_pattern", "is given without layers_to_transform");
        }
        if (!layers.isEmpty() && !allLinear && targets.pattern() != null) {
            throw fields.refuse("layers_to_transform", "cannot stand beside a target_modules that is an expression");
        }
        this.modulesToSave = fields.texts("modules_to_save");
        this.rankPattern = patterns(fields, "rank_pattern", JsonFields::positive);
        this.alphaPattern = patterns(fields, "alpha_pattern", JsonFields::number);
        this.baseModel = fields.text("base_model_name_or_path", null);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a LoRA adapter, or asks for what Graft does not compute
     */
    public static PeftLoraConfig read(Path path) {
        Path file = Files.isDirectory(path) ? path.resolve(FILE) : path;
        return new PeftLoraConfig(file.toString(), Json.readObject(file));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftLoraConfig parse(String where, String json) {
        return new PeftLoraConfig(where, Json.readObject(where, json));
    }

    /** A configuration with PEFT's defaults, to be changed field by field. */
    public static PeftLoraConfigBuilder builder() {
        return new PeftLoraConfigBuilder();
    }

    /** Whether the module carries an adapter; meant to be asked for linear layers (and refuses none by itself). */
    public boolean targets(String module) {
        if (excluded.matches(module) || saves(module)) {
            return false;
        }
        boolean found = allLinear ? !isHead(module) : targets.matches(module);
        return found && (layers.isEmpty() || layers.contains(ModuleMatcher.layerOf(module, layerContainers)));
    }

    /** Whether the module is trained in full and saved whole, instead of with an adapter. */
    public boolean saves(String module) {
        return modulesToSave.stream().anyMatch(name -> module.equals(name) || module.endsWith("." + name));
    }

    /** Whether the target is "all-linear": every linear layer but the head, so that {@link #targets} knows no names. */
    public boolean allLinear() {
        return allLinear;
    }

    /** The rank of a module's adapter. */
    public int rank(String module) {
        return first(rankPattern, module, rank);
    }

    /** The alpha of a module's adapter. */
    public double alpha(String module) {
        return first(alphaPattern, module, alpha);
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

    /** The alpha where no pattern says otherwise. */
    public double alpha() {
        return alpha;
    }

    /** The probability that an element of an adapter's input is dropped in training. */
    public double dropout() {
        return dropout;
    }

    /** Whether the scale is alpha / √r (rsLoRA). */
    public boolean rankStabilised() {
        return rankStabilised;
    }

    /** The names in {@code modules_to_save}. */
    public List<String> modulesToSave() {
        return modulesToSave;
    }

    /** The base model as the adapter names it, or null. */
    public String baseModel() {
        return baseModel;
    }

    /** {@code init_lora_weights} as text: "true", "false", "gaussian", "orthogonal" or "eva". */
    public String initialisation() {
        return json.hasNonNull("init_lora_weights")
                ? json.get("init_lora_weights").asText()
                : "true";
    }

    /** Writes {@code adapter_config.json} into a directory, atomically. */
    public void write(Path directory) {
        AtomicFiles.write(directory.resolve(FILE), toJson());
    }

    /** The file's text, as Python writes it: sorted keys, two spaces, inference_mode true. */
    public String toJson() {
        return PythonJson.write(json.deepCopy().put("inference_mode", true));
    }

    @Override
    public String toString() {
        return "PeftLoraConfig[r=" + rank + ", alpha=" + alpha + ", target_modules=" + json.get("target_modules") + "]";
    }

    private interface Field<T> {
        T read(JsonFields fields, String name);
    }

    private static <T> Map<Pattern, T> patterns(JsonFields fields, String field, Field<T> value) {
        Map<Pattern, T> patterns = new LinkedHashMap<>();
        JsonFields child = fields.child(field);
        if (child != null) {
            for (String key : child.names()) {
                patterns.put(ModuleMatcher.compile(fields, field, "(.*\\.)?(" + key + ")"), value.read(child, key));
            }
        }
        return patterns;
    }

    /** The value of the first pattern that matches, in the file's order. */
    private static <T> T first(Map<Pattern, T> patterns, String module, T otherwise) {
        for (Map.Entry<Pattern, T> entry : patterns.entrySet()) {
            if (entry.getKey().matcher(module).matches()) {
                return entry.getValue();
            }
        }
        return otherwise;
    }

    private static boolean isHead(String module) {
        return module.equals("lm_head") || module.endsWith(".lm_head");
    }
}
