package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class PeftLnTuningConfigTest {
    @Test
    void withoutTargetsAllNormsAreMeant() {
        PeftLnTuningConfig config = PeftLnTuningConfig.parse("test.json", "{\"peft_type\": \"LN_TUNING\"}");
        assertThat(config.saves("model.norm")).isTrue();
        assertThat(config.saves("model.layers.3.input_layernorm")).isTrue();
        assertThat(config.saves("model.layers.3.self_attn.q_proj")).isFalse();
        assertThat(config.targets("model.norm")).isFalse();
    }

    @Test
    void namedTargetsAndModulesToSave() {
        PeftLnTuningConfig config = PeftLnTuningConfig.parse("test.json", """
                {"peft_type": "LN_TUNING", "target_modules": ["norm"], "modules_to_save": ["lm_head"], "later": 1}""");
        assertThat(config.isNorm("model.norm")).isTrue();
        assertThat(config.isNorm("lm_head")).isFalse();
        assertThat(config.saves("lm_head")).isTrue();
        assertThat(config.saves("model.layers.0.input_layernorm")).isFalse();
        assertThat(config.toJson()).contains("\"later\": 1");
    }

    @Test
    void whatIsNoLnTuningIsRefused() {
        assertThatThrownBy(() -> PeftLnTuningConfig.parse("test.json", "{\"peft_type\": \"IA3\"}"))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("field 'peft_type' is 'IA3', supported is 'LN_TUNING'");
        assertThatThrownBy(() -> PeftLnTuningConfig.parse(
                        "test.json", "{\"peft_type\": \"LN_TUNING\", \"target_modules\": \"all-linear\"}"))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("which names no norm");
    }

    @Test
    void aNewConfigurationNamesTheNorms() {
        PeftLnTuningConfig config = PeftLnTuningConfig.allNorms("base");
        assertThat(config.toJson()).contains("\"input_layernorm\"", "\"base_model_name_or_path\": \"base\"");
        assertThat(config.saves("model.layers.0.post_attention_layernorm")).isTrue();
    }
}
