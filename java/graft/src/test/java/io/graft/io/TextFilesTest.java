package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the ending of a file's name says. */
class TextFilesTest {
    @TempDir
    Path folder;

    private static List<String> read(Path source) {
        List<String> found = new ArrayList<>();
        TextFiles.read(source, new TextFiles.Documents() {
            @Override
            public void text(String text) {
                found.add("text " + text);
            }

            @Override
            public void row(String where, JsonFields fields) {
                found.add("row " + fields.node("text").asText());
            }
        });
        return found;
    }

    private Path write(String name, String text) throws Exception {
        return Files.writeString(folder.resolve(name), text);
    }

    @ParameterizedTest
    @ValueSource(strings = {"a.jsonl", "a.JSONL", "a.ndjson", "a.NdJson"})
    void linesOfJsonAreRowsInAnyCase(String name) throws Exception {
        Path file = write(name, "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
        assertThat(read(file)).containsExactly("row one", "row two");
        assertThat(read(folder)).containsExactly("row one", "row two");
    }

    @ParameterizedTest
    @ValueSource(strings = {"a.json", "a.JSON", "a.csv", "a.tsv"})
    void tablesAreNoText(String name) throws Exception {
        Path file = write(name, "[{\"text\": \"one\"}]");
        assertThatThrownBy(() -> read(file))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining(name)
                .hasMessageContaining(".jsonl");
        assertThatThrownBy(() -> read(folder)).hasMessageContaining("holds no file that ends with");
        write("b.txt", "read");
        assertThat(read(folder)).containsExactly("text read");
        assertThat(DocumentReader.skipped(folder)).containsExactly(file);
        assertThat(DocumentReader.skipped(file)).isEmpty();
    }
}
