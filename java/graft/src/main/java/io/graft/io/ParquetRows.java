package io.graft.io;

import blue.strategic.parquet.Hydrator;
import blue.strategic.parquet.HydratorSupplier;
import blue.strategic.parquet.ParquetReader;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.apache.parquet.column.ColumnDescriptor;
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;

/** The rows of a parquet file, one after the other: its columns {@code text}, or {@code prompt} and {@code completion}. */
final class ParquetRows {
    private static final List<List<String>> FORMS = List.of(List.of("text"), List.of("prompt", "completion"));

    private ParquetRows() {}

    static void read(Path file, TextFiles.Documents documents) throws IOException {
        try {
            List<String> columns = columns(file);
            HydratorSupplier<ObjectNode, ObjectNode> rows = HydratorSupplier.constantly(new Fields());
            try (Stream<ObjectNode> found = ParquetReader.streamContent(file.toFile(), rows, columns)) {
                long[] number = {0};
                found.forEach(row -> {
                    number[0]++;
                    String where = file + ":" + number[0];
                    documents.row(where, new JsonFields(where, row));
                });
            }
        } catch (UncheckedIOException e) {
            throw e.getCause();
        } catch (RuntimeException e) {
            // why: the library wraps what the taker of a row throws.
            for (Throwable cause = e; cause != null; cause = cause.getCause()) {
                if (cause instanceof FormatException wrong) {
                    throw wrong;
                }
            }
            throw new FormatException(file, "is not a parquet file that can be read: " + e, e);
        }
    }

    private static List<String> columns(Path file) throws IOException {
        List<ColumnDescriptor> all = ParquetReader.readMetadata(file.toFile())
                .getFileMetaData()
                .getSchema()
                .getColumns();
        TreeSet<String> names = new TreeSet<>();
        TreeSet<String> texts = new TreeSet<>();
        for (ColumnDescriptor column : all) {
            names.add(column.getPath()[0]);
            boolean flat = column.getPath().length == 1 && column.getMaxRepetitionLevel() == 0;
            if (flat && column.getPrimitiveType().getPrimitiveTypeName() == PrimitiveTypeName.BINARY) {
                texts.add(column.getPath()[0]);
            }
        }
        for (List<String> form : FORMS) {
            if (texts.containsAll(form)) {
                return form;
            }
        }
        throw new FormatException(
                file,
                "has neither a column 'text' of texts nor 'prompt' and 'completion', but " + names
                        + (names.contains("messages") ? "; rows with 'messages' are read from .jsonl" : ""));
    }

    private static final class Fields implements Hydrator<ObjectNode, ObjectNode> {
        @Override
        public ObjectNode start() {
            return Json.newObject();
        }

        @Override
        public ObjectNode add(ObjectNode row, String heading, Object value) {
            return row.set(heading, Json.toNode(value));
        }

        @Override
        public ObjectNode finish(ObjectNode row) {
            return row;
        }
    }
}
