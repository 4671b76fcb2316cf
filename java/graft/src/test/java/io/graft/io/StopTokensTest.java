package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StopTokensTest {
    @TempDir
    Path folder;

    private final LlamaConfig config = LlamaConfig.read(Fixtures.path("models/llama_tied"));

    private void write(String json) throws Exception {
        Files.writeString(folder.resolve("generation_config.json"), json);
    }

    @Test
    void theGenerationsConfigurationComesFirst() throws Exception {
        assertThat(StopTokens.read(folder, config))
                .hasSameElementsAs(config.eosIds())
                .isNotEmpty();
        write("{\"temperature\": 0.7}");
        assertThat(StopTokens.read(folder, config)).hasSameElementsAs(config.eosIds());
        write("{\"eos_token_id\": [3, 5, 3]}");
        assertThat(StopTokens.read(folder, config)).containsExactlyInAnyOrder(3, 5);
        write("{\"eos_token_id\": 7}");
        assertThat(StopTokens.read(folder, config)).containsExactly(7);
        write("{\"eos_token_id\": []}");
        assertThat(StopTokens.read(folder, config)).isEmpty();
    }

    @Test
    void whatIsNoTokenIsRefused() throws Exception {
        for (String id : new String[] {"-1", "1.5", "\"a\"", "999999", "99999999999", "[[1]]", "{}"}) {
            write("{\"eos_token_id\": " + id + "}");
            assertThatThrownBy(() -> StopTokens.read(folder, config))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("field 'eos_token_id' holds ");
        }
    }
}
