package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import blue.strategic.parquet.ParquetWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.parquet.schema.LogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;
import org.apache.parquet.schema.Types;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Parquet files as rows of text. */
class ParquetRowsTest {
    private final Tokenizer tokenizer = Tokenizer.load(Fixtures.path("models/llama_tied"));

    @TempDir
    Path folder;

    @AfterEach
    void close() {
        tokenizer.close();
    }

    /** Rows of texts, null for none, and a number beside them. */
    private Path file(String name, List<String> columns, String[]... rows) throws IOException {
        var fields = Types.buildMessage().required(PrimitiveTypeName.INT32).named("id");
        for (String column : columns) {
            fields = fields.optional(PrimitiveTypeName.BINARY)
                    .as(LogicalTypeAnnotation.stringType())
                    .named(column);
        }
        MessageType schema = fields.named("rows");
        Path file = folder.resolve(name);
        try (ParquetWriter<String[]> writer = ParquetWriter.writeFile(schema, file.toFile(), (row, out) -> {
            out.write("id", 1);
            for (int i = 0; i < row.length; i++) {
                if (row[i] != null) {
                    out.write(columns.get(i), row[i]);
                }
            }
        })) {
            for (String[] row : rows) {
                writer.write(row);
            }
        }
        return file;
    }

    private List<Document> read(Path source) {
        List<Document> documents = new ArrayList<>();
        new DocumentReader(tokenizer, null).read(source, documents::add);
        return documents;
    }

    @Test
    void rowsAreThoseOfTheSameLines() throws Exception {
        file("a.parquet", List.of("text", "other"), new String[] {"int é a;", "x"}, new String[] {"b", null});
        file("b.parquet", List.of("completion", "prompt"), new String[] {" done", "ask"});
        Files.writeString(folder.resolve("c.jsonl"), "");
        List<Document> rows = read(folder);
        Path lines = Files.writeString(
                folder.resolve("same.jsonl"),
                "{\"text\": \"int é a;\"}\n{\"text\": \"b\"}\n{\"prompt\": \"ask\", \"completion\": \" done\"}");
        List<Document> expected = read(lines);
        assertThat(rows).hasSize(3);
        for (int i = 0; i < 3; i++) {
            assertThat(rows.get(i).ids()).isEqualTo(expected.get(i).ids());
            assertThat(rows.get(i).labels()).isEqualTo(expected.get(i).labels());
        }
    }

    @Test
    void manyRowsKeepTheirOrder() throws Exception {
        String[][] rows = new String[5000][];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = new String[] {"row " + i};
        }
        List<Document> documents = read(file("many.parquet", List.of("text"), rows));
        assertThat(documents).hasSize(5000);
        assertThat(tokenizer.decode(documents.get(4321).ids(), true).strip()).isEqualTo("row 4321");
    }

    @Test
    void whatIsWrongIsNamed() throws Exception {
        Path gap = file("gap.parquet", List.of("text"), new String[] {"a"}, new String[] {null});
        assertThatThrownBy(() -> read(gap)).isInstanceOf(FormatException.class).hasMessageContaining("gap.parquet:2: ");
        Path other = file("other.parquet", List.of("txt", "prompt"), new String[] {"a", "b"});
        assertThatThrownBy(() -> read(other)).hasMessageContaining("but [id, prompt, txt]");
        Path chat = file("chat.parquet", List.of("messages"), new String[] {"a"});
        assertThatThrownBy(() -> read(chat)).hasMessageContaining("rows with 'messages' are read from .jsonl");
        byte[] bytes = Files.readAllBytes(gap);
        for (int length : new int[] {0, 3, 4, 12, bytes.length / 2, bytes.length - 1}) {
            Path cut = Files.write(folder.resolve("cut.parquet"), Arrays.copyOf(bytes, length));
            assertThatThrownBy(() -> read(cut))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("cut.parquet");
        }
        for (int at = 0; at < bytes.length; at += 7) {
            byte[] broken = bytes.clone();
            broken[at] ^= 0x55;
            Path file = Files.write(folder.resolve("broken.parquet"), broken);
            try {
                read(file);
            } catch (FormatException refused) {
                assertThat(refused).hasMessageContaining("broken.parquet");
            }
        }
    }
}
