package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of LN-tuning (arXiv 2312.11420), as PEFT reads and writes it: which norms are trained.
 * Fields that Graft does not know are kept on a round trip.
 */
public final class PeftLnTuningConfig implements ModuleSelection {
    private static final String FILE = PeftLoraConfig.FILE;
    private static final List<String> LLAMA_TARGETS = List.of("input_layernorm", "post_attention_layernorm", "norm");

    private final ObjectNode json;
    private final PeftTargets targets;

    PeftLnTuningConfig(String file, ObjectNode json) {
        JsonFields fields = new JsonFields(file, json);
        String type = fields.text("peft_type", "");
        if (!type.equalsIgnoreCase("LN_TUNING")) {
            throw fields.refuse("peft_type", "is '" + type + "', expected LN_TUNING");
        }
        this.json = json;
        this.targets = new PeftTargets(fields, LLAMA_TARGETS);
        if (targets.allLinear()) {
            throw fields.refuse("target_modules", "is 'all-linear', which names no norm");
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of LN-tuning
     */
    public static PeftLnTuningConfig read(Path path) {
        Path file = Files.isDirectory(path) ? path.resolve(FILE) : path;
        return new PeftLnTuningConfig(file.toString(), Json.readObject(file));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftLnTuningConfig parse(String where, String json) {
        return new PeftLnTuningConfig(where, Json.readObject(where, json));
    }

    /** All norms of a Llama. */
    public static PeftLnTuningConfig allNorms(String baseModel) {
        ObjectNode json = Json.newObject();
        for (String field : new String[] {"auto_mapping", "exclude_modules", "modules_to_save", "revision"}) {
            json.putNull(field);
        }
        json.put("base_model_name_or_path", baseModel).put("inference_mode", true);
        json.put("peft_type", "LN_TUNING").put("peft_version", "0.21.0").put("task_type", "CAUSAL_LM");
        json.set("target_modules", Json.toNode(LLAMA_TARGETS));
        return new PeftLnTuningConfig("new LN-tuning configuration", json);
    }

    /** Never: a norm is trained whole. */
    @Override
    public boolean targets(String module) {
        return false;
    }

    @Override
    public boolean saves(String module) {
        return isNorm(module) || targets.saves(module);
    }

    /** Whether the module is a target of the method, rather than of modules_to_save. */
    public boolean isNorm(String module) {
        return targets.targets(module);
    }

    @Override
    public boolean allLinear() {
        return false;
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
        return "PeftLnTuningConfig[target_modules=" + json.get("target_modules") + "]";
    }
}
