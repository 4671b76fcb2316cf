package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;

class PeftIa3ConfigTest {
    private static final String KEYS = "model.layers.0.self_attn.k_proj";
    private static final String DOWN = "model.layers.0.mlp.down_proj";

    @Test
    void peftsOwnFileIsReadAndWritten() {
        PeftIa3Config config = PeftIa3Config.read(Fixtures.path("adapters/llama_gqa/ia3"));
        assertThat(config.targets(KEYS)).isTrue();
        assertThat(config.targets(DOWN)).isTrue();
        assertThat(config.targets("model.layers.0.self_attn.q_proj")).isFalse();
        assertThat(config.feedForward(DOWN)).isTrue();
        assertThat(config.feedForward(KEYS)).isFalse();
        assertThat(config.baseModel()).isEqualTo("models/llama_gqa");
        assertThat(PeftIa3Config.parse("again", config.toJson()).toJson()).isEqualTo(config.toJson());
    }

    @Test
    void withoutModulesThoseOfLlamaAreMeant() {
        PeftIa3Config config = PeftIa3Config.parse("test.json", "{\"peft_type\": \"IA3\"}");
        assertThat(config.targets("model.layers.1.self_attn.v_proj")).isTrue();
        assertThat(config.feedForward(DOWN)).isTrue();
    }

    @Test
    void noFeedForwardModulesMeansNone() {
        PeftIa3Config config = PeftIa3Config.parse("test.json", """
                {"peft_type": "IA3", "target_modules": ["down_proj"], "feedforward_modules": []}""");
        assertThat(config.targets(DOWN)).isTrue();
        assertThat(config.feedForward(DOWN)).isFalse();
    }

    @Test
    void newConfigurationsScaleDownProjectionsAtTheirInputs() {
        assertThat(PeftIa3Config.of("base", PeftIa3Config.LLAMA_TARGETS).toJson())
                .contains("\"base_model_name_or_path\": \"base\"", "\"feedforward_modules\": [", "\"k_proj\"");
        PeftIa3Config queries = PeftIa3Config.of("base", List.of("q_proj"));
        assertThat(queries.targets(KEYS)).isFalse();
        assertThat(queries.feedForward(DOWN)).isFalse();
    }

    @Test
    void whatIsNotComputedIsRefused() {
        assertThatThrownBy(() -> PeftIa3Config.parse("test.json", "{\"peft_type\": \"LORA\"}"))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("field 'peft_type' is 'LORA', supported is 'IA3'");
        assertThatThrownBy(
                        () -> PeftIa3Config.parse("test.json", "{\"peft_type\": \"IA3\", \"init_ia3_weights\": false}"))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("field 'init_ia3_weights' is false, supported is true");
    }
}
