package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PeftConfigTest {
    @TempDir
    Path directory;

    @ParameterizedTest
    @CsvSource({
        "lora, LORA",
        "lora_rs, LORA",
        "paca, PACA",
        "paca_official, PACA",
        "paca_as_lora, LORA",
        "shira, SHIRA",
        "ln_tuning, LN_TUNING"
    })
    void typesOfPeftsFiles(String name, String type) {
        Path adapter = Fixtures.path("adapters/llama_gqa/" + name);
        assertThat(PeftConfig.type(adapter)).isEqualTo(type);
        assertThat(PeftConfig.type(adapter.resolve(PeftConfig.FILE))).isEqualTo(type);
    }

    @Test
    void builtConfigurationsNameTheirType() {
        PeftPacaConfig.builder().build().write(directory);
        assertThat(PeftConfig.type(directory)).isEqualTo("PACA");
        PeftLoraConfig.builder().build().write(directory);
        assertThat(PeftConfig.type(directory)).isEqualTo("LORA");
        PeftLnTuningConfig.allNorms(null).write(directory);
        assertThat(PeftConfig.type(directory)).isEqualTo("LN_TUNING");
    }

    @Test
    void upperCaseWhateverTheLanguageOfTheSystem() throws IOException {
        Locale before = Locale.getDefault();
        try {
            Locale.setDefault(Locale.forLanguageTag("tr"));
            assertThat(PeftConfig.type(file("{\"peft_type\": \"ln_tuning\"}"))).isEqualTo("LN_TUNING");
        } finally {
            Locale.setDefault(before);
        }
    }

    @Test
    void otherFieldsAreNotLookedAt() throws IOException {
        assertThat(PeftConfig.type(file("{\"peft_type\": \"FROM_THE_FUTURE\", \"r\": 0}")))
                .isEqualTo("FROM_THE_FUTURE");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{} | field 'peft_type' is missing",
                "{'peft_type':null} | field 'peft_type' is missing",
                "{'peft_type':1} | field 'peft_type' is 1, expected a text",
                "[] | expected a JSON object, found array",
            })
    void whatNamesNoTypeIsRefused(String json, String message) throws IOException {
        Path file = file(json.replace('\'', '"'));
        assertThatThrownBy(() -> PeftConfig.type(directory))
                .isInstanceOf(FormatException.class)
                .hasMessage(file + ": " + message);
        assertThatThrownBy(() -> PeftConfig.type(file))
                .isInstanceOf(FormatException.class)
                .hasMessage(file + ": " + message);
    }

    @Test
    void missingFileIsNamed() {
        assertThatThrownBy(() -> PeftConfig.type(directory))
                .isInstanceOf(FormatException.class)
                .hasMessage(directory.resolve(PeftConfig.FILE) + ": no such file");
    }

    private Path file(String json) throws IOException {
        return Files.writeString(directory.resolve(PeftConfig.FILE), json);
    }
}
