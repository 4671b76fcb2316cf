package io.graft.model;

import io.graft.adapter.Adapter;
import io.graft.adapter.Lora;
import io.graft.adapter.LoraSet;
import io.graft.io.PeftLoraConfig;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** As {@link GradientCheckTest}, the methods that have several adapters at each place. */
class MixtureGradientTest {
    private static Lora lora(int rank, String targets) {
        return Lora.create(PeftLoraConfig.parse("test", """
                {"peft_type": "LORA", "r": %d, "lora_alpha": 5, "lora_dropout": 0.3, "init_lora_weights": false,
                 "target_modules": %s}""".formatted(rank, targets)), rank);
    }

    private static Adapter adapter(String kind) {
        Map<String, Lora> parts = new LinkedHashMap<>();
        parts.put("all", lora(3, "\"all-linear\""));
        parts.put("some", lora(2, "[\"q_proj\", \"down_proj\"]"));
        return LoraSet.of(parts);
    }

    @ParameterizedTest
    @CsvSource({"loraset, false, false", "loraset, true, true"})
    void gradientsAreDerivativesOfTheLoss(String kind, boolean tied, boolean checkpointing) {
        GradientCheck.check(adapter(kind), tied, checkpointing);
    }
}
