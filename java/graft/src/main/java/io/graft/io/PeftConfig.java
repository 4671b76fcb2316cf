package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;

/**
 * The {@code adapter_config.json} of an adapter as PEFT reads and writes it: what all kinds have, which is their type and
 * the modules that they select.
 *
 * <p>Module names are those of the base model, such as {@code model.layers.0.self_attn.q_proj}. Fields that Graft does
 * not know are kept on a round trip; fields that would change the result in a way Graft does not compute are refused by
 * name.
 */
public abstract sealed class PeftConfig
        permits PeftLoraConfig,
                PeftAdaLoraConfig,
                PeftPacaConfig,
                PeftIa3Config,
                PeftVeraConfig,
                PeftMissConfig,
                PeftLycorisConfig,
                PeftQaLoraConfig,
                PeftHiraConfig,
                PeftGloraConfig,
                PeftHiwiConfig,
                PeftCompacterConfig,
                PeftPeqaConfig,
                PeftBoftConfig,
                PeftC3aConfig,
                PeftFourierConfig,
                PeftCapaBoostConfig,
                PeftKAdaptationConfig,
                PeftOftConfig,
                PeftBitFitConfig,
                PeftMoeLoraConfig,
                PeftMovConfig,
                PeftFusionConfig,
                PeftSketchTuneConfig,
                PeftBottleneckConfig,
                PeftLnTuningConfig,
                PeftRowsConfig,
                PeftShiraConfig,
                PeftSsfConfig,
                PeftAdaptionPromptConfig,
                PeftSaidConfig,
                PeftLstConfig,
                PeftPromptLearningConfig {
    /** The name of the file in an adapter's directory. */
    public static final String FILE = "adapter_config.json";

    /** What adapters of one meaning may differ in. */
    private static final Set<String> UNRELATED = Set.of(
            "auto_mapping",
            "base_model_name_or_path",
            "inference_mode",
            "init_lora_weights",
            "init_weights",
            "lora_dropout",
            "peft_version",
            "revision",
            "task_type");

    private final ObjectNode json;
    private final PeftTargets targets;
    private final String baseModel;

    /**
     * @param type the peft_type that the file must have
     * @param defaults the target_modules of a file that names none
     */
    PeftConfig(JsonFields fields, String type, List<String> defaults) {
        String found = fields.text("peft_type");
        if (!found.equals(type)) {
            throw fields.refuse("peft_type", "is '" + found + "', supported is '" + type + "'");
        }
        this.json = fields.object();
        this.targets = new PeftTargets(fields, defaults);
        this.baseModel = fields.text("base_model_name_or_path", null);
    }

    /**
     * The kind of adapter that an {@code adapter_config.json}, or that of a directory, configures: its {@code peft_type}
     * in upper case, such as {@code LORA} or {@code PACA}. No other field is looked at.
     *
     * @throws FormatException if the file cannot be read, or does not name its type
     */
    public static String type(Path directoryOrFile) {
        return fields(directoryOrFile).text("peft_type").toUpperCase(Locale.ROOT);
    }

    /**
     * Refuses an adapter whose configuration differs from another's in what its tensors mean.
     *
     * @throws FormatException that names the first field that differs
     */
    public static void expectAlike(Path first, Path other) {
        ObjectNode expected = Json.readObject(file(first));
        ObjectNode found = Json.readObject(file(other));
        Set<String> fields = new TreeSet<>();
        expected.fieldNames().forEachRemaining(fields::add);
        found.fieldNames().forEachRemaining(fields::add);
        fields.removeAll(UNRELATED);
        for (String field : fields) {
            JsonNode one = expected.path(field);
            JsonNode two = found.path(field);
            boolean absent = one.isEmpty() && two.isEmpty() && !one.isValueNode() && !two.isValueNode();
            boolean unset = (one.isNull() || one.isMissingNode()) && (two.isNull() || two.isMissingNode());
            if (!absent && !unset && !asSet(one).equals(asSet(two))) {
                throw new FormatException(
                        file(other), "field '" + field + "' is " + two + ", but " + one + " in " + file(first));
            }
        }
    }

    /** why: PEFT writes the names of modules in any order. */
    private static Object asSet(JsonNode node) {
        Set<JsonNode> items = new HashSet<>();
        node.forEach(items::add);
        return node.isArray() ? items : node;
    }

    /** The configuration's file: that of a directory, or the file itself. */
    static Path file(Path path) {
        return Files.isDirectory(path) ? path.resolve(FILE) : path;
    }

    /** The fields of a configuration's file, or of that of a directory. */
    static JsonFields fields(Path path) {
        return JsonFields.read(file(path));
    }

    /** What every new configuration that selects modules holds. */
    static ObjectNode fresh(String type, String baseModel, List<String> targets) {
        ObjectNode json = fresh(type, baseModel).putNull("exclude_modules");
        json.set("target_modules", Json.toNode(targets));
        return json;
    }

    /** What every new configuration holds. */
    static ObjectNode fresh(String type, String baseModel) {
        ObjectNode json = Json.newObject();
        json.putNull("auto_mapping").putNull("modules_to_save").putNull("revision");
        json.put("base_model_name_or_path", baseModel).put("inference_mode", true);
        return json.put("peft_type", type).put("peft_version", "0.21.0").put("task_type", "CAUSAL_LM");
    }

    static void refuseUnless(JsonFields fields, String field, JsonNode only) {
        JsonNode value = fields.node(field);
        if (value != null && !value.equals(only)) {
            throw fields.refuse(field, "is " + value + ", supported is " + only.asText());
        }
    }

    final ObjectNode json() {
        return json;
    }

    /** Whether the module carries an adapter; meant to be asked for linear layers (and refuses none by itself). */
    public boolean targets(String module) {
        return targets.targets(module);
    }

    /** Whether the module is trained in full and saved whole, instead of with an adapter. */
    public boolean saves(String module) {
        return targets.saves(module);
    }

    /** Whether the target is "all-linear": every linear layer but the head, so that {@link #targets} knows no names. */
    public boolean allLinear() {
        return targets.allLinear();
    }

    /** The names in {@code modules_to_save}. */
    public List<String> modulesToSave() {
        return targets.modulesToSave();
    }

    /** The base model as the adapter names it, or null. */
    public String baseModel() {
        return baseModel;
    }

    /** Writes {@code adapter_config.json} into a directory, atomically. */
    public void write(Path directory) {
        write(directory, List.of());
    }

    /**
     * The same without modules that have layers of the targets' names and are none of Graft's, so that PEFT leaves them out
     * too. What the configuration says of excluded modules already stays, and so does an expression, which names layers
     * exactly.
     */
    public void write(Path directory, List<String> excluded) {
        ObjectNode written = json.deepCopy();
        boolean listed = json.path("target_modules").isArray() || allLinear();
        if (!excluded.isEmpty() && listed && json.has("exclude_modules") && !json.hasNonNull("exclude_modules")) {
            String any = String.join("|", excluded).replace(".", "\\.");
            written.put("exclude_modules", "(" + any + ")\\..*");
        }
        AtomicFiles.write(directory.resolve(FILE), text(written));
    }

    @Override
    public String toString() {
        String rank = json.has("r") ? "r=" + json.get("r") + ", " : "";
        return getClass().getSimpleName() + "[" + rank + "target_modules=" + json.get("target_modules") + "]";
    }

    /** The file's text, as Python writes it: sorted keys, two spaces, inference_mode true. */
    public String toJson() {
        return text(json.deepCopy());
    }

    private static String text(ObjectNode own) {
        return PythonJson.write(own.put("inference_mode", true));
    }
}
