package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PeftMissConfigTest {
    @TempDir
    Path directory;

    @Test
    void peftsFileIsWrittenAsItWas() throws Exception {
        Path file = Fixtures.path("adapters/llama_gqa/miss/" + PeftConfig.FILE);
        PeftMissConfig config = PeftMissConfig.read(file);
        assertThat(config.rank()).isEqualTo(5);
        assertThat(config.startsAtBase()).isTrue();
        assertThat(config.toJson().strip()).isEqualTo(Files.readString(file).strip());
    }

    @Test
    void absentFieldsHavePeftsDefaults() {
        PeftMissConfig config = parse("'init_weights':null");
        assertThat(config.rank()).isEqualTo(64);
        assertThat(config.dropout()).isZero();
        assertThat(config.startsAtBase()).isTrue();
        assertThat(config.targets("model.layers.0.self_attn.q_proj")).isTrue();
        assertThat(config.targets("model.layers.0.self_attn.k_proj")).isFalse();
    }

    @Test
    void aNewOneIsReadAgain() {
        PeftMissConfig.of("base", List.of("q_proj"), 3, 0.25).write(directory);
        PeftMissConfig config = PeftMissConfig.read(directory);
        assertThat(config.rank()).isEqualTo(3);
        assertThat(config.dropout()).isEqualTo(0.25);
        assertThat(config.baseModel()).isEqualTo("base");
        assertThat(config).hasToString("PeftMissConfig[r=3, target_modules=[\"q_proj\"]]");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'peft_type':'LORA' | field 'peft_type' is 'LORA', supported is 'MISS'",
                "'init_weights':'bat' | field 'init_weights' is \"bat\", supported are true and false",
                "'init_weights':'mini' | field 'init_weights' is \"mini\", supported are true and false",
                "'bias':'all' | field 'bias' is \"all\", supported is none",
                "'r':0 | field 'r' is 0, expected at least 1",
                "'miss_dropout':1.0 | field 'miss_dropout' is 1.0, expected 0 <= p < 1"
            })
    void whatIsNotComputedIsRefused(String fields, String message) {
        assertThatThrownBy(() -> parse(fields))
                .isInstanceOf(FormatException.class)
                .hasMessage("test: " + message);
    }

    private static PeftMissConfig parse(String fields) {
        String type = fields.contains("'peft_type'") ? "" : "'peft_type':'MISS',";
        return PeftMissConfig.parse("test", ("{" + type + fields + "}").replace('\'', '"'));
    }
}
