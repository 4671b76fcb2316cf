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
import java.util.function.Consumer;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.SimpleGroup;
import org.apache.parquet.hadoop.example.ExampleParquetWriter;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.io.LocalOutputFile;
import org.apache.parquet.schema.LogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.MessageTypeParser;
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

    private static TextFiles.Documents taking(Consumer<JsonFields> row) {
        return new TextFiles.Documents() {
            @Override
            public void text(String text) {
                throw new AssertionError(text);
            }

            @Override
            public void row(String where, JsonFields fields) {
                assertThat(where).endsWith("lists.parquet:1");
                row.accept(fields);
            }
        };
    }

    private static final String LISTS = """
            message rows {
              optional group messages (LIST) { repeated group list { optional group element {
                optional binary role (STRING); optional binary content (STRING); } } }
              optional group tools (LIST) { repeated group array {
                required binary name (STRING); required int64 count; required double weight; required boolean used; } }
              optional int32 id;
            }""";

    private Path lists(String schema, Consumer<Group> fill) throws IOException {
        MessageType type = MessageTypeParser.parseMessageType(schema);
        Path file = folder.resolve("lists.parquet");
        Files.deleteIfExists(file);
        Group row = new SimpleGroup(type);
        fill.accept(row);
        try (org.apache.parquet.hadoop.ParquetWriter<Group> writer = ExampleParquetWriter.builder(
                        new LocalOutputFile(file))
                .withType(type)
                .withCompressionCodec(CompressionCodecName.SNAPPY)
                .build()) {
            writer.write(row);
        }
        return file;
    }

    /** Messages and tools as JSON would have them; what is null is absent. */
    @Test
    void listsOfGroupsAreMessages() throws Exception {
        Path file = lists(LISTS, row -> {
            Group messages = row.addGroup("messages");
            Group first = messages.addGroup("list").addGroup("element");
            first.append("role", "user").append("content", "é?");
            messages.addGroup("list").addGroup("element").append("role", "assistant");
            messages.addGroup("list");
            Group tool = row.addGroup("tools").addGroup("array");
            tool.append("name", "f").append("count", 3L).append("weight", 0.5).append("used", true);
        });
        List<String> rows = new ArrayList<>();
        ParquetRows.read(file, taking(fields -> rows.add(fields.object().toString())));
        assertThat(rows)
                .containsExactly(("{'messages':[{'role':'user','content':'é?'},{'role':'assistant'},null],"
                                + "'tools':[{'name':'f','count':3,'weight':0.5,'used':true}]}")
                        .replace('\'', '"'));
        assertThatThrownBy(() -> read(file)).hasMessageContaining("has 'messages', but the model has no chat template");
    }

    /** A page says how large it will be before it is unpacked. */
    @Test
    void pagesThatUnpackToTooMuchAreRefused() throws Exception {
        Path file = lists(
                "message rows { optional binary text (STRING); }", row -> row.append("text", "a".repeat(1 << 21)));
        assertThat(Files.size(file)).isLessThan(1 << 18);
        List<String> found = new ArrayList<>();
        ParquetRows.read(file, taking(fields -> found.add(fields.text("text"))));
        assertThat(found).containsExactly("a".repeat(1 << 21));
        assertThatThrownBy(() -> ParquetRows.read(file, 1 << 20, null))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("lists.parquet: has a page of 20971")
                .hasMessageContaining("at most 1048576");
    }

    @Test
    void whatIsWrongIsNamed() throws Exception {
        Path gap = file("gap.parquet", List.of("text"), new String[] {"a"}, new String[] {null});
        assertThatThrownBy(() -> read(gap)).isInstanceOf(FormatException.class).hasMessageContaining("gap.parquet:2: ");
        Path other = file("other.parquet", List.of("txt", "prompt"), new String[] {"a", "b"});
        assertThatThrownBy(() -> read(other)).hasMessageContaining("but [id, prompt, txt]");
        Path chat = file("chat.parquet", List.of("messages"), new String[] {"a"});
        assertThatThrownBy(() -> read(chat)).hasMessageContaining("nor 'messages' of lists, but [id, messages]");
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
