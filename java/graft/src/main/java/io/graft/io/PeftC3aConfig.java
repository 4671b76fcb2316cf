package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** The {@code adapter_config.json} of a C3A adapter (arXiv 2407.19342), as PEFT reads and writes it. */
public final class PeftC3aConfig extends PeftConfig {
    private static final Set<String> STARTS = Set.of("true", "false", "gaussian", "kaiming_uniform", "xavier_uniform");

    private final int size;
    private final PeftTargets.Values<Integer> sizes;
    private final String initialisation;

    PeftC3aConfig(JsonFields fields) {
        super(fields, "C3A", PeftTargets.LLAMA);
        refuseUnless(fields, "bias", Json.toNode("none"));
        JsonNode start = fields.node("init_weights");
        this.initialisation = start == null ? "xavier_uniform" : start.asText();
        if (!STARTS.contains(initialisation)) {
            throw fields.refuse(
                    "init_weights",
                    "is " + start + ", supported are true, false, gaussian, kaiming_uniform" + " and xavier_uniform");
        }
        this.size = fields.positive("block_size", 256);
        this.sizes = new PeftTargets.Values<>(fields, "block_size_pattern", JsonFields::positive, size);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a C3A adapter, or asks for what Graft does not compute
     */
    public static PeftC3aConfig read(Path path) {
        return new PeftC3aConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftC3aConfig parse(String where, String json) {
        return new PeftC3aConfig(JsonFields.parse(where, json));
    }

    /**
     * A new configuration.
     *
     * @param size of a block; it divides the inputs and outputs of every target
     */
    public static PeftC3aConfig of(String baseModel, List<String> targets, int size) {
        ObjectNode json = fresh("C3A", baseModel);
        json.putNull("layers_pattern").putNull("layers_to_transform");
        json.put("bias", "none").put("block_size", size).put("init_weights", true);
        json.putObject("block_size_pattern");
        json.set("target_modules", Json.toNode(targets));
        return new PeftC3aConfig(new JsonFields("new C3A configuration", json));
    }

    /** The size of a module's blocks. */
    public int blockSize(String module) {
        return sizes.of(module);
    }

    /** {@code init_weights} as text; "true" is the base model. */
    public String initialisation() {
        return initialisation;
    }

    @Override
    public String toString() {
        return "PeftC3aConfig[block_size=" + size + ", target_modules=" + json().get("target_modules") + "]";
    }
}
