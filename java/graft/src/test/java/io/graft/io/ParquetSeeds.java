package io.graft.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.SimpleGroup;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.example.ExampleParquetWriter;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.io.LocalOutputFile;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.MessageTypeParser;

/** Small parquet files: plain and packed, of texts and of lists of groups. */
final class ParquetSeeds {
    private ParquetSeeds() {}

    static List<byte[]> files() throws IOException {
        List<byte[]> files = new ArrayList<>();
        String lists = "message rows { optional group messages (LIST) { repeated group list { optional group element {"
                + " optional binary role (STRING); optional binary content (STRING); } } } optional int32 id; }";
        for (CompressionCodecName codec : List.of(CompressionCodecName.UNCOMPRESSED, CompressionCodecName.SNAPPY)) {
            files.add(file(
                    "message rows { optional binary text (STRING); }", codec, row -> row.append("text", "a text")));
            files.add(file(
                    lists,
                    codec,
                    row -> row.addGroup("messages")
                            .addGroup("list")
                            .addGroup("element")
                            .append("role", "user")
                            .append("content", "hello")));
        }
        return files;
    }

    private static byte[] file(String schema, CompressionCodecName codec, Consumer<Group> fill) throws IOException {
        MessageType type = MessageTypeParser.parseMessageType(schema);
        Path folder = Files.createTempDirectory("parquet");
        Path file = folder.resolve("seed.parquet");
        try {
            try (ParquetWriter<Group> writer = ExampleParquetWriter.builder(new LocalOutputFile(file))
                    .withType(type)
                    .withCompressionCodec(codec)
                    .build()) {
                for (int i = 0; i < 3; i++) {
                    Group row = new SimpleGroup(type);
                    fill.accept(row);
                    writer.write(row);
                }
            }
            return Files.readAllBytes(file);
        } finally {
            Files.deleteIfExists(file);
            Files.deleteIfExists(folder.resolve(".seed.parquet.crc"));
            Files.deleteIfExists(folder);
        }
    }
}
