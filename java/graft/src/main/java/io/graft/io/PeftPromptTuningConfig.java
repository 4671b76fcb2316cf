package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;

/** The {@code adapter_config.json} of prompt tuning (arXiv 2104.08691), as PEFT reads and writes it. */
public final class PeftPromptTuningConfig extends PeftPromptLearningConfig {
    /** How fresh virtual tokens start; PEFT's names. */
    public enum Init {
        /** N(0, 1). */
        RANDOM,
        /** The embeddings of random tokens. */
        SAMPLE_VOCAB,
        /** The embeddings of a text's tokens. */
        TEXT
    }

    private final Init init;

    PeftPromptTuningConfig(JsonFields fields) {
        super(fields, "PROMPT_TUNING");
        String name = fields.text("prompt_tuning_init", "RANDOM");
        try {
            init = Init.valueOf(name);
        } catch (IllegalArgumentException e) {
            throw fields.refuse("prompt_tuning_init", "is '" + name + "', expected RANDOM, SAMPLE_VOCAB or TEXT");
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of prompt tuning, or asks for what Graft does not compute
     */
    public static PeftPromptTuningConfig read(Path path) {
        return new PeftPromptTuningConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftPromptTuningConfig parse(String where, String json) {
        return new PeftPromptTuningConfig(JsonFields.parse(where, json));
    }

    /** So many virtual tokens. */
    public static PeftPromptTuningConfig of(String baseModel, int virtualTokens, Init init) {
        ObjectNode json = fresh("PROMPT_TUNING", baseModel, virtualTokens);
        json.put("prompt_tuning_init", init.name()).putNull("prompt_tuning_init_text");
        json.putNull("tokenizer_kwargs").putNull("tokenizer_name_or_path");
        return new PeftPromptTuningConfig(new JsonFields("new prompt tuning configuration", json));
    }

    /** How fresh virtual tokens start. */
    public Init init() {
        return init;
    }
}
