package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of QA-LoRA (arXiv 2309.14717), which PEFT writes as one of LoRA with {@code use_qalora}:
 * the adapter sees sums of groups of {@code qalora_group_size} inputs. Dropout and DoRA beside it are refused.
 */
public final class PeftQaLoraConfig extends PeftConfig {
    private static final String FLAG = "use_qalora";

    private final PeftLoraConfig lora;
    private final int group;

    private PeftQaLoraConfig(JsonFields fields) {
        super(fields, "LORA", PeftTargets.LLAMA);
        if (!fields.flag(FLAG, false)) {
            throw fields.refuse(FLAG, "is not true");
        }
        this.group = fields.positive("qalora_group_size", 16);
        this.lora = new PeftLoraConfig(fields.with(json().deepCopy().put(FLAG, false)));
        if (lora.dropout() != 0) {
            throw fields.refuse("lora_dropout", "is " + lora.dropout() + ", supported beside use_qalora is 0");
        }
        if (lora.weightDecomposed()) {
            throw fields.refuse("use_dora", "is true, supported beside use_qalora is false");
        }
    }

    /** Whether the configuration of a folder is one of QA-LoRA; of no other field is anything asked. */
    public static boolean describes(Path directory) {
        return fields(directory).flag(FLAG, false);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of QA-LoRA, or asks for what Graft does not compute
     */
    public static PeftQaLoraConfig read(Path path) {
        return new PeftQaLoraConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftQaLoraConfig parse(String where, String json) {
        return new PeftQaLoraConfig(JsonFields.parse(where, json));
    }

    /**
     * A new configuration.
     *
     * @param group inputs of a group; it divides the inputs of every target
     */
    public static PeftQaLoraConfig of(String baseModel, List<String> targets, int rank, double alpha, int group) {
        ObjectNode json = new PeftLoraConfigBuilder()
                .rank(rank)
                .alpha(alpha)
                .baseModel(baseModel)
                .targets(targets.toArray(String[]::new))
                .build()
                .json()
                .deepCopy();
        json.put(FLAG, true).put("qalora_group_size", group);
        return new PeftQaLoraConfig(new JsonFields("new QA-LoRA configuration", json));
    }

    /** The rank of a module's adapter. */
    public int rank(String module) {
        return lora.rank(module);
    }

    /** What a module's BA is multiplied by. */
    public double scale(String module) {
        return lora.scale(module);
    }

    /** Inputs of a group. */
    public int group() {
        return group;
    }

    /** {@code init_lora_weights} as text. */
    public String initialisation() {
        return lora.initialisation();
    }

    @Override
    public String toString() {
        return "PeftQaLoraConfig[r=" + lora.rank() + ", qalora_group_size=" + group + ", target_modules="
                + json().get("target_modules") + "]";
    }
}
