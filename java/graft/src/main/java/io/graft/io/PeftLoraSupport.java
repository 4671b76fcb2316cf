package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.Set;

/** Refuses, by name, the fields of a LoRA configuration under which the result is not that of plain LoRA. */
final class PeftLoraSupport {
    private static final Set<String> PLAIN = Set.of("true", "false", "gaussian", "orthogonal", "eva");

    private static final List<String> BIASES = List.of("none", "all", "lora_only");

    /** Fields that must be false, null or empty. */
    private static final List<String> UNSUPPORTED = List.of(
            "fan_in_fan_out",
            "lora_bias",
            "use_qalora",
            "use_bdlora",
            "ensure_weight_tying",
            "layer_replication",
            "target_parameters",
            "trainable_token_indices",
            "megatron_config",
            "alora_invocation_tokens",
            "arrow_config",
            "kasa_config",
            "velora_config",
            "monteclora_config");

    private PeftLoraSupport() {}

    static void check(JsonFields fields) {
        String bias = fields.text("bias", "none");
        if (!BIASES.contains(bias)) {
            throw fields.refuse("bias", "is '" + bias + "', supported are " + BIASES);
        }
        checkInitialisation(fields);
        for (String field : UNSUPPORTED) {
            JsonNode node = fields.node(field);
            boolean unset = node == null
                    || node.isBoolean() && !node.booleanValue()
                    || node.isContainerNode() && node.isEmpty();
            if (!unset) {
                throw fields.refuse(field, "is " + node + ", which is not supported");
            }
        }
    }

    private static void checkInitialisation(JsonFields fields) {
        JsonNode node = fields.node("init_lora_weights");
        if (node == null || PLAIN.contains(node.asText())) {
            return;
        }
        String value = node.asText();
        boolean changesBase = value.startsWith("pissa")
                || value.equals("olora")
                || value.equals("corda")
                || value.equals("loftq")
                || value.equals("lora_ga");
        throw fields.refuse(
                "init_lora_weights",
                changesBase
                        ? "is '" + value
                                + "': such an adapter is valid only on a base whose weights were changed at its "
                                + "initialisation; save it from PEFT converted to plain LoRA "
                                + "(path_initial_model_for_weight_conversion)"
                        : "is '" + value + "', which is not supported");
    }
}
