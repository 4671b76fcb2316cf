package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of an (IA)³ adapter (arXiv 2205.05638), as PEFT reads and writes it: which modules are
 * scaled, and which of them at their inputs.
 */
public final class PeftIa3Config extends PeftConfig {
    /** PEFT's choice for a Llama: keys, values, and the inputs of the MLP's down-projection. */
    public static final List<String> LLAMA_TARGETS = List.of("k_proj", "v_proj", "down_proj");

    private static final List<String> FEED_FORWARD = List.of("down_proj", "mlp.c_proj", "fc_out");

    private final ModuleMatcher feedForward;

    PeftIa3Config(JsonFields fields) {
        super(fields, "IA3", LLAMA_TARGETS);
        refuseUnless(fields, "fan_in_fan_out", Json.toNode(false));
        refuseUnless(fields, "init_ia3_weights", Json.toNode(true));
        this.feedForward = fields.has("feedforward_modules")
                ? ModuleMatcher.of(fields, "feedforward_modules")
                : new ModuleMatcher(FEED_FORWARD, null);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of an (IA)³ adapter, or asks for what Graft does not compute
     */
    public static PeftIa3Config read(Path path) {
        return new PeftIa3Config(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftIa3Config parse(String where, String json) {
        return new PeftIa3Config(JsonFields.parse(where, json));
    }

    /** These modules, e.g. {@link #LLAMA_TARGETS}: down-projections at their inputs and others at their outputs. */
    public static PeftIa3Config of(String baseModel, List<String> targets) {
        ObjectNode json = fresh("IA3", baseModel, targets);
        json.put("fan_in_fan_out", false).put("init_ia3_weights", true);
        json.set(
                "feedforward_modules",
                Json.toNode(targets.stream()
                        .filter(new ModuleMatcher(FEED_FORWARD, null)::matches)
                        .toList()));
        return new PeftIa3Config(new JsonFields("new (IA)³ configuration", json));
    }

    /** Whether the module, if it is a target, is scaled at its inputs. */
    public boolean feedForward(String module) {
        return feedForward.matches(module);
    }

    @Override
    public String toString() {
        return "PeftIa3Config[target_modules=" + json().get("target_modules") + ", feedforward_modules="
                + json().get("feedforward_modules") + "]";
    }
}
