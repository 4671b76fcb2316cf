package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of LN-tuning (arXiv 2312.11420), as PEFT reads and writes it: which norms are trained.
 */
public final class PeftLnTuningConfig extends PeftConfig {
    private static final List<String> LLAMA_TARGETS = List.of("input_layernorm", "post_attention_layernorm", "norm");

    PeftLnTuningConfig(JsonFields fields) {
        super(fields, "LN_TUNING", LLAMA_TARGETS);
        if (allLinear()) {
            throw fields.refuse("target_modules", "is 'all-linear', which names no norm");
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of LN-tuning
     */
    public static PeftLnTuningConfig read(Path path) {
        return new PeftLnTuningConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftLnTuningConfig parse(String where, String json) {
        return new PeftLnTuningConfig(JsonFields.parse(where, json));
    }

    /** All norms of a Llama. */
    public static PeftLnTuningConfig allNorms(String baseModel) {
        return of(baseModel, LLAMA_TARGETS);
    }

    /** These norms, e.g. {@link Architecture#norms()}. */
    public static PeftLnTuningConfig of(String baseModel, List<String> norms) {
        ObjectNode json = fresh("LN_TUNING", baseModel);
        json.putNull("exclude_modules");
        json.set("target_modules", Json.toNode(norms));
        return new PeftLnTuningConfig(new JsonFields("new LN-tuning configuration", json));
    }

    /** Never: a norm is trained whole. */
    @Override
    public boolean targets(String module) {
        return false;
    }

    @Override
    public boolean saves(String module) {
        return isNorm(module) || super.saves(module);
    }

    /** Whether the module is a target of the method, rather than of modules_to_save. */
    public boolean isNorm(String module) {
        return super.targets(module);
    }
}
