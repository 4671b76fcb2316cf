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
import org.junit.jupiter.params.provider.ValueSource;

class PeftLycorisConfigTest {
    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(strings = {"lokr", "lokr_both"})
    void peftsFileIsWrittenAsItWas(String name) throws Exception {
        Path file = Fixtures.path("adapters/llama_gqa/" + name + "/" + PeftConfig.FILE);
        assertThat(PeftLokrConfig.read(file).toJson().strip())
                .isEqualTo(Files.readString(file).strip());
    }

    @Test
    void lohaIsReadAndWritten() throws Exception {
        Path file = Fixtures.path("adapters/llama_gqa/loha/" + PeftConfig.FILE);
        PeftLohaConfig config = PeftLohaConfig.read(file);
        assertThat(config.rank("model.layers.0.self_attn.q_proj")).isEqualTo(2);
        assertThat(config.toJson().strip()).isEqualTo(Files.readString(file).strip());
        PeftLohaConfig.of("base", List.of("q_proj"), 3, 6).write(directory);
        assertThat(PeftLohaConfig.read(directory).scale("q_proj")).isEqualTo(2);
        assertThatThrownBy(() -> PeftLohaConfig.parse("test", "{\"peft_type\":\"LOHA\",\"init_weights\":\"lycoris\"}"))
                .hasMessage("test: field 'init_weights' is \"lycoris\", supported are [true, false]");
    }

    @Test
    void patternsAndDefaults() {
        PeftLokrConfig config = lokr("'rank_pattern':{'v_proj':3},'alpha_pattern':{'q_proj':4}");
        assertThat(config.scale("model.layers.0.self_attn.q_proj")).isEqualTo(0.5);
        assertThat(config.rank("model.layers.0.self_attn.v_proj")).isEqualTo(3);
        assertThat(config.initialisation()).isEqualTo("true");
        assertThat(config.targets("model.layers.0.self_attn.k_proj")).isFalse();
    }

    @Test
    void aNewOneIsReadAgain() {
        PeftLokrConfig.of("base", List.of("q_proj"), 3, 6, 8, true).write(directory);
        PeftLokrConfig config = PeftLokrConfig.read(directory);
        assertThat(config.scale("q_proj")).isEqualTo(2);
        assertThat(config.sizes(64, 24)).isEqualTo(new PeftLokrConfig.Sizes(8, 8, 8, 3));
        assertThat(config.lowRankFirst("q_proj", config.sizes(64, 24))).isTrue();
        assertThat(config).hasToString("PeftLokrConfig[r=3, target_modules=[\"q_proj\"]]");
    }

    /** The examples of PEFT's own documentation, and what its loop makes of a factor that does not divide. */
    @ParameterizedTest
    @CsvSource({
        "256, -1, 16, 16",
        "128, -1, 8, 16",
        "127, -1, 1, 127",
        "128, 4, 4, 32",
        "12, 6, 6, 2",
        "10, 4, 2, 5",
        "12, 5, 3, 4",
        "36, 100, 6, 6",
        "1, -1, 1, 1"
    })
    void sizesAreSplitAsInPeft(int dimension, int factor, int first, int second) {
        PeftLokrConfig.Sizes sizes = lokr("'decompose_factor':" + factor).sizes(dimension, 1);
        assertThat(List.of(sizes.p(), sizes.high())).containsExactly(first, second);
    }

    @Test
    void aFactorIsLowRankBelowHalfItsLargerSide() {
        PeftLokrConfig config = lokr("'r':4,'decompose_both':true");
        assertThat(config.lowRankSecond("q_proj", new PeftLokrConfig.Sizes(8, 9, 8, 8)))
                .isFalse();
        assertThat(config.lowRankSecond("q_proj", new PeftLokrConfig.Sizes(8, 9, 8, 9)))
                .isTrue();
        assertThat(config.lowRankFirst("q_proj", new PeftLokrConfig.Sizes(8, 9, 1, 1)))
                .isTrue();
        assertThat(lokr("'r':4").lowRankFirst("q_proj", new PeftLokrConfig.Sizes(8, 9, 1, 1)))
                .isFalse();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'peft_type':'LORA' | field 'peft_type' is 'LORA', supported is 'LOKR'",
                "'rank_dropout':0.1 | field 'rank_dropout' is 0.1, supported is 0",
                "'module_dropout':0.5 | field 'module_dropout' is 0.5, supported is 0",
                "'init_weights':'x' | field 'init_weights' is \"x\", supported are [true, false, lycoris]",
                "'decompose_factor':0 | field 'decompose_factor' is 0, expected -1 or at least 1",
                "'r':0 | field 'r' is 0, expected at least 1"
            })
    void whatIsNotComputedIsRefused(String fields, String message) {
        assertThatThrownBy(() -> lokr(fields))
                .isInstanceOf(FormatException.class)
                .hasMessage("test: " + message);
    }

    private static PeftLokrConfig lokr(String fields) {
        String type = fields.contains("'peft_type'") ? "" : "'peft_type':'LOKR',";
        return PeftLokrConfig.parse("test", ("{" + type + fields + "}").replace('\'', '"'));
    }
}
