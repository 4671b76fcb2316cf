package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of a LoRA adapter, as PEFT reads and writes it: which modules carry an adapter, with
 * which rank and scale.
 *
 * <p>Module names are those of the base model, such as {@code model.layers.0.self_attn.q_proj}. Fields that Graft does
 * not know are kept on a round trip; fields that would change the result in a way Graft does not compute are refused by
 * name. Build a new one with {@link #builder()}.
 */
public final class PeftLoraConfig implements ModuleSelection {
    /** The name of the file in an adapter's directory. */
    public static final String FILE = "adapter_config.json";

    private final ObjectNode json;
    private final int rank;
    private final double alpha;
    private final double dropout;
    private final boolean rankStabilised;
    private final PeftTargets targets;
    private final PeftTargets.Values<Integer> ranks;
    private final PeftTargets.Values<Double> alphas;
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
        this.targets = new PeftTargets(fields);
        this.ranks = new PeftTargets.Values<>(fields, "rank_pattern", JsonFields::positive, rank);
        this.alphas = new PeftTargets.Values<>(fields, "alpha_pattern", JsonFields::number, alpha);
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

    @Override
    public boolean targets(String module) {
        return targets.targets(module);
    }

    @Override
    public boolean saves(String module) {
        return targets.saves(module);
    }

    @Override
    public boolean allLinear() {
        return targets.allLinear();
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
        return targets.modulesToSave();
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
}
