package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of mixtures of (IA)³ vectors (MoV, arXiv 2309.05444), which PEFT does not have: the
 * layout of its (IA)³ with {@code peft_type} MOV, and {@link RouterSettings}.
 */
public final class PeftMovConfig extends PeftConfig {
    private static final List<String> FEED_FORWARD = List.of("down_proj", "mlp.c_proj", "fc_out");

    private final ModuleMatcher feedForward;
    private final RouterSettings router;

    PeftMovConfig(JsonFields fields) {
        super(fields, "MOV", PeftIa3Config.LLAMA_TARGETS);
        this.router = RouterSettings.of(fields);
        this.feedForward = fields.has("feedforward_modules")
                ? ModuleMatcher.of(fields, "feedforward_modules")
                : new ModuleMatcher(FEED_FORWARD, null);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a mixture of vectors
     */
    public static PeftMovConfig read(Path path) {
        return new PeftMovConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftMovConfig parse(String where, String json) {
        return new PeftMovConfig(JsonFields.parse(where, json));
    }

    /** These modules, e.g. {@link PeftIa3Config#LLAMA_TARGETS}: down-projections at their inputs, others at their outputs. */
    public static PeftMovConfig of(String baseModel, List<String> targets, RouterSettings router) {
        ObjectNode json = fresh("MOV", baseModel);
        router.write(json);
        json.set("target_modules", Json.toNode(targets));
        json.set(
                "feedforward_modules",
                Json.toNode(targets.stream()
                        .filter(new ModuleMatcher(FEED_FORWARD, null)::matches)
                        .toList()));
        return new PeftMovConfig(new JsonFields("new MoV configuration", json));
    }

    /** Whether the module, if it is a target, is scaled at its inputs. */
    public boolean feedForward(String module) {
        return feedForward.matches(module);
    }

    public RouterSettings router() {
        return router;
    }

    @Override
    public String toString() {
        return "PeftMovConfig[num_experts=" + router.experts() + ", target_modules=" + json().get("target_modules")
                + "]";
    }
}
