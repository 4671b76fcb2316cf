package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PeftShiraConfigTest {
    private static final String Q = "model.layers.0.self_attn.q_proj";

    @TempDir
    Path directory;

    @Test
    void peftsFileComesBackByteForByte() {
        Path adapter = Fixtures.path("adapters/llama_gqa/shira");
        PeftShiraConfig config = PeftShiraConfig.read(adapter);
        config.write(directory);
        assertThat(directory.resolve(PeftConfig.FILE)).hasSameTextualContentAs(adapter.resolve(PeftConfig.FILE));
        assertThat(config.rank()).isEqualTo(2);
        assertThat(config.randomSeed()).isEqualTo(2024);
    }

    @Test
    void absentFieldsHavePeftsDefaults() {
        PeftShiraConfig config = parse("'random_seed':null");
        assertThat(config.rank()).isEqualTo(32);
        assertThat(config.entries(100, 200)).isEqualTo(32 * 300);
        assertThat(config.entries(10, 20)).as("at most all of the matrix").isEqualTo(200);
        assertThat(config.maskType()).isEqualTo("random");
        assertThat(config.randomSeed()).isZero();
        assertThat(config.targets(Q)).isTrue();
        assertThat(config.targets("model.layers.0.self_attn.k_proj")).isFalse();
    }

    @Test
    void aNewOneIsReadAgain() {
        PeftShiraConfig.of("base", List.of("q_proj"), 3, "fisher", Long.MAX_VALUE)
                .write(directory);
        PeftShiraConfig config = PeftShiraConfig.read(directory);
        assertThat(config.rank()).isEqualTo(3);
        assertThat(config.maskType()).isEqualTo("fisher");
        assertThat(config.randomSeed()).isEqualTo(Long.MAX_VALUE);
        assertThat(config.baseModel()).isEqualTo("base");
        assertThat(config).hasToString("PeftShiraConfig[r=3, mask_type=fisher, target_modules=[\"q_proj\"]]");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'peft_type':'LORA' | field 'peft_type' is 'LORA', supported is 'SHIRA'",
                "'r':0 | field 'r' is 0, expected at least 1",
                "'fan_in_fan_out':true | field 'fan_in_fan_out' is true, supported is false",
                "'init_weights':false | field 'init_weights' is false, supported is true",
                "'random_seed':1.5 | field 'random_seed' is 1.5, expected a whole number of 64 bits"
            })
    void whatIsNotComputedIsRefused(String fields, String message) {
        assertThatThrownBy(() -> parse(fields))
                .isInstanceOf(FormatException.class)
                .hasMessage("test: " + message);
    }

    private static PeftShiraConfig parse(String fields) {
        String type = fields.contains("'peft_type'") ? "" : "'peft_type':'SHIRA',";
        return PeftShiraConfig.parse("test", ("{" + type + fields + "}").replace('\'', '"'));
    }
}
