package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The configurations of adapters whose change of a weight has a form of its own. */
class PeftMatrixConfigsTest {
    private static final Map<String, BiFunction<String, String, PeftConfig>> PARSERS = Map.of(
            "LORA", PeftQaLoraConfig::parse,
            "HIRA", PeftHiraConfig::parse,
            "GLORA", PeftGloraConfig::parse,
            "HIWI", PeftHiwiConfig::parse,
            "COMPACTER", PeftCompacterConfig::parse,
            "KADAPTATION", PeftKAdaptationConfig::parse,
            "C3A", PeftC3aConfig::parse,
            "BOFT", PeftBoftConfig::parse,
            "FOURIERFT", PeftFourierConfig::parse,
            "PEQA", PeftPeqaConfig::parse);

    @TempDir
    Path directory;

    private static PeftConfig parse(String type, String fields) {
        String json = "{\"peft_type\":\"" + type + "\"," + fields.replace('\'', '"') + "}";
        return PARSERS.get(type).apply("test", json);
    }

    @ParameterizedTest
    @CsvSource({
        "hira, HIRA",
        "glora, GLORA",
        "glora_vector, GLORA",
        "qalora, LORA",
        "c3a, C3A",
        "boft, BOFT",
        "boft_blocks, BOFT",
        "fourierft, FOURIERFT"
    })
    void peftsFileIsWrittenAsItWas(String name, String type) throws Exception {
        String text = Files.readString(Fixtures.path("adapters/llama_gqa/" + name + "/" + PeftConfig.FILE));
        assertThat(PARSERS.get(type).apply("test", text).toJson().strip()).isEqualTo(text.strip());
    }

    @Test
    void newOnesAreReadAgain() {
        List<String> targets = List.of("q_proj");
        PeftQaLoraConfig qalora = again(PeftQaLoraConfig.of("base", targets, 3, 6, 8), PeftQaLoraConfig::read);
        assertThat(qalora.group()).isEqualTo(8);
        assertThat(qalora.scale("q_proj")).isEqualTo(2);
        assertThat(PeftQaLoraConfig.describes(directory)).isTrue();
        assertThat(again(PeftHiraConfig.of("base", targets, 3), PeftHiraConfig::read)
                        .rank("q_proj"))
                .isEqualTo(3);
        PeftGloraConfig glora = again(PeftGloraConfig.of("base", targets, 3), PeftGloraConfig::read);
        assertThat(glora.vectors()).isFalse();
        assertThat(glora.rank()).isEqualTo(3);
        assertThat(again(PeftHiwiConfig.of("base", targets, 3), PeftHiwiConfig::read)
                        .nonLinearity())
                .isEqualTo("relu");
        PeftCompacterConfig compacter = again(PeftCompacterConfig.of("base", targets, 12), PeftCompacterConfig::read);
        assertThat(List.of(compacter.size(), compacter.division(), compacter.rank()))
                .containsExactly(12, 4, 1);
        PeftKAdaptationConfig kadaptation =
                again(PeftKAdaptationConfig.of("base", targets, 3), PeftKAdaptationConfig::read);
        assertThat(List.of(kadaptation.division(), kadaptation.rank())).containsExactly(4, 3);
        PeftBoftConfig boft = again(PeftBoftConfig.of("base", targets, 4, 2), PeftBoftConfig::read);
        assertThat(boft.factors()).isEqualTo(2);
        assertThat(boft.startsAtBase()).isTrue();
        assertThat(boft.blockSize("q_proj", 16, 2)).isEqualTo(4);
        assertThatThrownBy(() -> boft.blockSize("q_proj", 18, 1))
                .hasMessage("BOFT: boft_block_size 4 does not divide the 18 inputs of q_proj");
        assertThatThrownBy(() -> boft.blockSize("q_proj", 12, 2))
                .hasMessageContaining("that 2 divides; q_proj has 3 of 4");
        PeftC3aConfig c3a = again(PeftC3aConfig.of("base", targets, 8), PeftC3aConfig::read);
        assertThat(c3a.blockSize("q_proj")).isEqualTo(8);
        assertThat(c3a.initialisation()).isEqualTo("true");
        PeftFourierConfig fourier = again(PeftFourierConfig.of("base", targets, 50, 2.5, 9), PeftFourierConfig::read);
        assertThat(fourier.frequencies("q_proj")).isEqualTo(50);
        assertThat(fourier.scaling()).isEqualTo(2.5);
        assertThat(fourier.seed()).isEqualTo(9);
        assertThat(fourier.startsAtBase()).isTrue();
        PeftPeqaConfig peqa = again(PeftPeqaConfig.of("base", targets, 3, 2), PeftPeqaConfig::read);
        assertThat(peqa.bits()).isEqualTo(3);
        assertThat(peqa.withSketches(4, 8).groups()).isEqualTo(8);
    }

    private <C extends PeftConfig> C again(C config, Function<Path, C> read) {
        config.write(directory);
        C found = read.apply(directory);
        assertThat(found).hasToString(config.toString());
        assertThat(found.targets("model.layers.0.self_attn.q_proj")).isTrue();
        assertThat(found.targets("model.layers.0.self_attn.v_proj")).isFalse();
        return found;
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "LORA | 'r':4 | field 'use_qalora' is not true",
                "LORA | 'use_qalora':true,'lora_dropout':0.5 | field 'lora_dropout' is 0.5, supported beside use_qalora is 0",
                "LORA | 'use_qalora':true,'use_dora':true | field 'use_dora' is true, supported beside use_qalora is false",
                "LORA | 'use_qalora':true,'qalora_group_size':0 | field 'qalora_group_size' is 0, expected at least 1",
                "LORA | 'use_qalora':true,'lora_bias':true | field 'lora_bias' is true, which is not supported",
                "HIRA | 'hira_dropout':0.1 | field 'hira_dropout' is 0.1, supported is 0",
                "HIRA | 'init_weights':'x' | field 'init_weights' is \"x\", supported are true, false and gaussian",
                "HIRA | 'r':0 | field 'r' is 0, expected at least 1",
                "GLORA | 'config_A_B':'constant' | field 'config_A_B' is 'constant', supported are lora and vector",
                "GLORA | 'bias':'all' | field 'bias' is \"all\", supported is none",
                "HIWI | 'non_linearity':'gelu' | field 'non_linearity' is 'gelu', supported are relu and tanh",
                "COMPACTER | 'bottleneck_size':6 | field 'bottleneck_size' is 6, expected a multiple of hypercomplex_division 4",
                "COMPACTER | 'non_linearity':'gelu' | field 'non_linearity' is 'gelu', supported are relu and tanh",
                "KADAPTATION | 'phm_rank':0 | field 'phm_rank' is 0, expected at least 1",
                "BOFT | 'boft_dropout':0.5 | field 'boft_dropout' is 0.5, supported is 0",
                "BOFT | 'boft_block_num':4 | field 'boft_block_size' is 4 beside boft_block_num 4, expected one of them to be 0",
                "C3A | 'bias':'all' | field 'bias' is \"all\", supported is none",
                "C3A | 'block_size':0 | field 'block_size' is 0, expected at least 1",
                "FOURIERFT | 'n_frequency':-1 | field 'n_frequency' is -1, expected at least 1",
                "FOURIERFT | 'random_loc_seed':1.5 | field 'random_loc_seed' is 1.5, expected a whole number of 64 bits",
                "PEQA | 'bits':5 | field 'bits' is 5, supported are 2, 3 and 4"
            })
    void whatIsNotComputedIsRefused(String type, String fields, String message) {
        assertThatThrownBy(() -> parse(type, fields))
                .isInstanceOf(FormatException.class)
                .hasMessage("test: " + message);
    }
}
