package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;

/**
 * The {@code adapter_config.json} of a mixture of prompts (SMoP, Choi et al., EMNLP 2023), which PEFT does not have: that of a
 * prompt with {@code peft_type} SMOP, where {@code num_virtual_tokens} is the length of each, and {@link RouterSettings}.
 */
public final class PeftSmopConfig extends PeftPromptLearningConfig {
    private final RouterSettings router;

    PeftSmopConfig(String file, ObjectNode json) {
        this(new JsonFields(file, json), json);
    }

    private PeftSmopConfig(JsonFields fields, ObjectNode json) {
        super(fields, json, "SMOP");
        this.router = RouterSettings.of(fields);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a mixture of prompts
     */
    public static PeftSmopConfig read(Path path) {
        Path file = file(path);
        return new PeftSmopConfig(file.toString(), Json.readObject(file));
    }

    /** Prompts of so many virtual tokens each. */
    public static PeftSmopConfig of(String baseModel, int virtualTokens, RouterSettings router) {
        ObjectNode json = fresh("SMOP", baseModel, virtualTokens);
        router.write(json);
        return new PeftSmopConfig("new SMoP configuration", json);
    }

    public RouterSettings router() {
        return router;
    }
}
