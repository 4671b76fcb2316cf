package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of SSF (arXiv 2210.08823), which PEFT does not know: {@code peft_type} SSF beside PEFT's
 * fields that select modules, those whose outputs are scaled and shifted.
 */
public final class PeftSsfConfig extends PeftConfig {
    PeftSsfConfig(JsonFields fields) {
        super(fields, "SSF", LlamaConfig.PROJECTIONS);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of SSF
     */
    public static PeftSsfConfig read(Path path) {
        return new PeftSsfConfig(fields(path));
    }

    /** The outputs of these modules, e.g. {@link LlamaConfig#PROJECTIONS}. */
    public static PeftSsfConfig of(String baseModel, List<String> targets) {
        ObjectNode json = fresh("SSF", baseModel, targets);
        return new PeftSsfConfig(new JsonFields("new SSF configuration", json));
    }
}
