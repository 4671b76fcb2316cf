package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;

/**
 * The {@code adapter_config.json} of a mixture of prompts (SMoP, Choi et al., EMNLP 2023), which PEFT does not have: that of a
 * prompt with {@code peft_type} SMOP, where {@code num_virtual_tokens} is the length of each, and {@link RouterSettings}.
 */
public final class PeftSmopConfig extends PeftPromptLearningConfig {
    private final RouterSettings router;

    PeftSmopConfig(JsonFields fields) {
        super(fields, "SMOP");
        this.router = RouterSettings.of(fields);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a mixture of prompts
     */
    public static PeftSmopConfig read(Path path) {
        return new PeftSmopConfig(fields(path));
    }

    /** Prompts of so many virtual tokens each. */
    public static PeftSmopConfig of(String baseModel, int virtualTokens, RouterSettings router) {
        ObjectNode json = fresh("SMOP", baseModel, virtualTokens);
        router.write(json);
        return new PeftSmopConfig(new JsonFields("new SMoP configuration", json));
    }

    public RouterSettings router() {
        return router;
    }
}
