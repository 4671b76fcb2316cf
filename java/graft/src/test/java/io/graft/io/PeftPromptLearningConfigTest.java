package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.PeftPromptTuningConfig.Init;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PeftPromptLearningConfigTest {
    @Test
    void peftsOwnFilesAreReadAndWritten() {
        PeftPromptTuningConfig prompt = PeftPromptTuningConfig.read(Fixtures.path("adapters/llama_gqa/prompt_tuning"));
        assertThat(prompt.virtualTokens()).isEqualTo(8);
        assertThat(prompt.init()).isEqualTo(Init.RANDOM);
        assertThat(prompt.targets("model.layers.0.self_attn.q_proj")).isFalse();
        assertThat(PeftPromptTuningConfig.parse("again", prompt.toJson()).toJson())
                .isEqualTo(prompt.toJson());
        PeftPrefixTuningConfig prefix = PeftPrefixTuningConfig.read(Fixtures.path("adapters/llama_gqa/prefix_tuning"));
        assertThat(prefix.virtualTokens()).isEqualTo(8);
        assertThat(PeftPrefixTuningConfig.parse("again", prefix.toJson()).toJson())
                .isEqualTo(prefix.toJson());
    }

    @Test
    void newConfigurationsTakeTheModelsSizes() {
        PeftPromptTuningConfig config = PeftPromptTuningConfig.of("base", 5, Init.SAMPLE_VOCAB);
        assertThat(config.toJson()).contains("\"token_dim\": null", "\"prompt_tuning_init\": \"SAMPLE_VOCAB\"");
        config.fit(3, 4, 48);
        assertThat(config.toJson())
                .contains("\"token_dim\": 48", "\"num_layers\": 3", "\"num_attention_heads\": 4")
                .contains("\"num_virtual_tokens\": 5");
    }

    @Test
    void sizesOfAnotherModelAreRefused() {
        PeftPrefixTuningConfig prefix = PeftPrefixTuningConfig.read(Fixtures.path("adapters/llama_gqa/prefix_tuning"));
        assertThatThrownBy(() -> prefix.fit(2, 2, 25))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("field 'token_dim' is 24, but the model has 25");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "PROMPT_TUNING|`\"a\": 1`|field 'num_virtual_tokens' is missing",
                "PROMPT_TUNING|`\"num_virtual_tokens\": 0`|field 'num_virtual_tokens' is 0, expected at least 1",
                "PROMPT_TUNING|`\"num_virtual_tokens\": 2, \"prompt_tuning_init\": \"LATER\"`|is 'LATER', expected RANDOM",
                "PROMPT_TUNING|`\"num_virtual_tokens\": 2, \"num_transformer_submodules\": 2`|is not 1",
                "PROMPT_TUNING|`\"num_virtual_tokens\": 2, \"modules_to_save\": [\"lm_head\"]`|all that is trained",
                "PREFIX_TUNING|`\"num_virtual_tokens\": 2, \"prefix_projection\": 3`|expected true or false",
                "LORA|`\"num_virtual_tokens\": 2`|field 'peft_type' is 'LORA'"
            })
    void whatIsNotComputedIsRefused(String type, String fields, String message) {
        String json = "{\"peft_type\": \"" + type + "\", " + fields + "}";
        assertThatThrownBy(() -> {
                    if (type.equals("PREFIX_TUNING")) {
                        PeftPrefixTuningConfig.parse("test.json", json);
                    } else {
                        PeftPromptTuningConfig.parse("test.json", json);
                    }
                })
                .isInstanceOf(FormatException.class)
                .hasMessageContaining(message);
    }
}
