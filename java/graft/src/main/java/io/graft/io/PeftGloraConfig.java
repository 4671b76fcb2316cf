package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * The {@code adapter_config.json} of a GLoRA adapter (arXiv 2306.07967), as PEFT reads and writes it. Its paths C, D and E
 * change biases, which a Llama's projections have none of: PEFT then leaves them out, whatever they are set to.
 */
public final class PeftGloraConfig extends PeftConfig {
    private static final Set<String> FORMS = Set.of("lora", "vector");

    private final int rank;
    private final String form;
    private final boolean startsAtBase;

    PeftGloraConfig(JsonFields fields) {
        super(fields, "GLORA", PeftTargets.LLAMA);
        refuseUnless(fields, "bias", Json.toNode("none"));
        this.form = fields.text("config_A_B", "lora");
        if (!FORMS.contains(form)) {
            throw fields.refuse("config_A_B", "is '" + form + "', supported are lora and vector");
        }
        this.rank = fields.positive("r", 8);
        this.startsAtBase = fields.flag("init_weights", true);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a GLoRA adapter, or asks for what Graft does not compute
     */
    public static PeftGloraConfig read(Path path) {
        return new PeftGloraConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftGloraConfig parse(String where, String json) {
        return new PeftGloraConfig(JsonFields.parse(where, json));
    }

    /** A new configuration with low-rank scales and shifts. */
    public static PeftGloraConfig of(String baseModel, List<String> targets, int rank) {
        ObjectNode json = fresh("GLORA", baseModel);
        json.put("bias", "none")
                .put("config_A_B", "lora")
                .put("config_C", "lora")
                .put("config_D_E", "constant");
        json.put("init_weights", true).put("r", rank);
        json.set("target_modules", Json.toNode(targets));
        return new PeftGloraConfig(new JsonFields("new GLoRA configuration", json));
    }

    /** The rank of low-rank scales and shifts. */
    public int rank() {
        return rank;
    }

    /** Whether scales and shifts are one number for each output, not low-rank matrices. */
    public boolean vectors() {
        return form.equals("vector");
    }

    /** Whether fresh scales and shifts are zero. */
    public boolean startsAtBase() {
        return startsAtBase;
    }

    @Override
    public String toString() {
        return "PeftGloraConfig[r=" + rank + ", config_A_B=" + form + ", target_modules=" + json().get("target_modules")
                + "]";
    }
}
