package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of SSF (arXiv 2210.08823), which PEFT does not know: {@code peft_type} SSF beside PEFT's
 * fields that select modules, those whose outputs are scaled and shifted.
 */
public final class PeftSsfConfig extends PeftConfig {
    PeftSsfConfig(String file, ObjectNode json) {
        super(new JsonFields(file, json), json, "SSF", LlamaConfig.PROJECTIONS);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of SSF
     */
    public static PeftSsfConfig read(Path path) {
        Path file = file(path);
        return new PeftSsfConfig(file.toString(), Json.readObject(file));
    }

    /** The outputs of these modules, e.g. {@link LlamaConfig#PROJECTIONS}. */
    public static PeftSsfConfig of(String baseModel, List<String> targets) {
        ObjectNode json = fresh("SSF", baseModel);
        json.putNull("exclude_modules");
        json.set("target_modules", Json.toNode(targets));
        return new PeftSsfConfig("new SSF configuration", json);
    }

    @Override
    public String toString() {
        return "PeftSsfConfig[target_modules=" + json().get("target_modules") + "]";
    }
}
