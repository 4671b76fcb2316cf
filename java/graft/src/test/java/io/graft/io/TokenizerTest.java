package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenizerTest {
    @TempDir
    Path directory;

    @Test
    void goldenTextsAreEncodedAndDecoded() throws IOException {
        JsonNode cases = new ObjectMapper()
                .readTree(Fixtures.path("cases/llama_tied/tokenizer.json").toFile());
        assertThat(cases).isNotEmpty();
        try (Tokenizer tokenizer = Tokenizer.load(Fixtures.path("models/llama_tied"))) {
            for (JsonNode example : cases) {
                String text = example.get("text").asText();
                int[] ids = new ObjectMapper().convertValue(example.get("ids"), int[].class);
                assertThat(tokenizer.encode(
                                text, example.get("add_special_tokens").asBoolean()))
                        .as(text)
                        .isEqualTo(ids);
                assertThat(tokenizer.decode(ids, false))
                        .isEqualTo(example.get("decoded").asText());
                assertThat(tokenizer.decode(ids, true))
                        .isEqualTo(example.get("decoded_skip_special").asText());
            }
        }
    }

    @Test
    void sizeAndSpecialTokensComeFromTheFiles() {
        try (Tokenizer tokenizer = Tokenizer.load(Fixtures.path("models/llama_tied/tokenizer.json"))) {
            assertThat(tokenizer.size()).isLessThanOrEqualTo(330).isGreaterThan(326);
            assertThat(tokenizer.bos()).hasValue(325);
            assertThat(tokenizer.eos()).hasValue(326);
            assertThat(tokenizer.pad()).hasValue(326);
            assertThat(tokenizer.id("Ġ{")).hasValue(274);
            assertThat(tokenizer.id("nonsense")).isEmpty();
        }
    }

    @Test
    void longTextIsNotCut() {
        try (Tokenizer tokenizer = Tokenizer.load(Fixtures.path("models/llama_tied"))) {
            String text = "int x = 1;\n".repeat(2_000);
            assertThat(tokenizer.decode(tokenizer.encode(text, false), false).equals(text))
                    .isTrue();
        }
    }

    @Test
    void whatIsNoTokenizerIsRefused() throws IOException {
        assertThatThrownBy(() -> Tokenizer.load(directory))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("tokenizer.json: no such file");
        Path file = directory.resolve("tokenizer.json");
        for (String json : new String[] {"", "{}", "{\"model\":{\"vocab\":{\"a\":0}}}"}) {
            Files.writeString(file, json);
            assertThatThrownBy(() -> Tokenizer.load(file))
                    .isInstanceOf(FormatException.class)
                    .hasMessageStartingWith(file.toString());
        }
    }

    @Test
    void useAfterCloseAndWrongIdsAreRefused() {
        Tokenizer tokenizer = Tokenizer.load(Fixtures.path("models/llama_tied"));
        assertThatThrownBy(() -> tokenizer.decode(new int[] {-1}, false)).isInstanceOf(IllegalArgumentException.class);
        tokenizer.close();
        tokenizer.close();
        assertThatThrownBy(() -> tokenizer.encode("x", false))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("is closed");
    }
}
