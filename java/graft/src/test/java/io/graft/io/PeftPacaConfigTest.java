package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PeftPacaConfigTest {
    private static PeftPacaConfig parse(String fields) {
        return PeftPacaConfig.parse(
                "test.json", "{'peft_type':'PACA',%s}".formatted(fields).replace('\'', '"'));
    }

    @Test
    void fieldsThatAreMissingHavePeftsDefaults() {
        PeftPacaConfig config = parse("'task_type':'CAUSAL_LM'");
        assertThat(config.rank("model.layers.0.self_attn.q_proj")).isEqualTo(8);
        assertThat(config.scale("model.layers.0.self_attn.q_proj")).isEqualTo(1);
        assertThat(config.randomSeed()).isZero();
        assertThat(config.targets("model.layers.0.self_attn.v_proj")).isTrue();
        assertThat(config.targets("model.layers.0.self_attn.k_proj")).isFalse();
        assertThat(config.modulesToSave()).isEmpty();
        assertThat(config.baseModel()).isNull();
    }

    @Test
    void patternsChangeSingleModules() {
        PeftPacaConfig config = parse("'r':4,'paca_alpha':8,'target_modules':'all-linear','rank_pattern':{'q_proj':16},"
                + "'alpha_pattern':{'layers.1.mlp.up_proj':12}");
        assertThat(config.rank("model.layers.0.self_attn.q_proj")).isEqualTo(16);
        assertThat(config.scale("model.layers.0.self_attn.q_proj")).isEqualTo(0.5);
        assertThat(config.scale("model.layers.1.mlp.up_proj")).isEqualTo(3);
        assertThat(config.scale("model.layers.0.mlp.up_proj")).isEqualTo(2);
        assertThat(config.targets("lm_head")).isFalse();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'bias':'all' | field 'bias' is \"all\", supported is none",
                "'fan_in_fan_out':true | field 'fan_in_fan_out' is true, supported is false",
                "'init_weights':false | field 'init_weights' is false, supported is true",
                "'random_seed':1.5 | field 'random_seed' is 1.5, expected a whole number",
                "'r':0 | field 'r'",
            })
    void whatWouldChangeTheResultIsRefusedByName(String fields, String complaint) {
        assertThatThrownBy(() -> parse(fields))
                .isInstanceOf(FormatException.class)
                .hasMessageStartingWith("test.json")
                .hasMessageContaining(complaint);
    }

    @Test
    void anotherKindOfAdapterIsRefused() {
        assertThatThrownBy(() -> PeftPacaConfig.parse("test.json", "{\"peft_type\": \"LORA\"}"))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("field 'peft_type' is 'LORA', supported is 'PACA'");
    }

    @Test
    void unknownFieldsSurviveARoundTrip(@TempDir Path folder) {
        parse("'gradient_accumulation_steps':4,'target_modules':['q_proj'],'r':2")
                .write(folder);
        PeftPacaConfig read = PeftPacaConfig.read(folder);
        assertThat(read.toJson()).contains("\"gradient_accumulation_steps\": 4", "\"inference_mode\": true");
        assertThat(read.rank("q_proj")).isEqualTo(2);
    }

    @Test
    void aNewConfigurationHasAllFields() {
        PeftPacaConfig config = PeftPacaConfig.builder()
                .rank(16)
                .alpha(32)
                .targets("up_proj")
                .modulesToSave("embed_tokens")
                .randomSeed(7)
                .baseModel("base")
                .build();
        assertThat(config.scale("model.layers.3.mlp.up_proj")).isEqualTo(2);
        assertThat(config.modulesToSave()).isEqualTo(List.of("embed_tokens"));
        assertThat(config.randomSeed()).isEqualTo(7);
        assertThat(config.baseModel()).isEqualTo("base");
        assertThat(config.toJson()).contains("\"peft_type\": \"PACA\"", "\"paca_alpha\": 32", "\"r\": 16");
        assertThat(config).hasToString("PeftPacaConfig[r=16, alpha=32.0, target_modules=[\"up_proj\"]]");
    }
}
