package io.graft.io;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import org.apache.parquet.ParquetReadOptions;
import org.apache.parquet.column.page.PageReadStore;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.convert.GroupRecordConverter;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.io.ColumnIOFactory;
import org.apache.parquet.io.LocalInputFile;
import org.apache.parquet.io.MessageColumnIO;
import org.apache.parquet.io.RecordReader;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;
import org.apache.parquet.schema.Type;

/**
 * The rows of a parquet file, one after the other: its columns {@code text}, or {@code prompt} and {@code completion}, or
 * {@code messages} and {@code tools}. In memory are the pages of one group of rows as they are stored, and of each column one
 * page unpacked, whose size is limited ({@link BoundedCodecs}).
 */
final class ParquetRows {
    /** why so many: writers make pages of about 1 MiB, but one text that is longer makes a page of its own. */
    static final int LARGEST_PAGE = 1 << 28;

    private static final List<List<String>> FORMS =
            List.of(List.of("text"), List.of("prompt", "completion"), List.of("messages"));

    private ParquetRows() {}

    static void read(Path file, TextFiles.Documents documents) throws IOException {
        read(file, LARGEST_PAGE, documents);
    }

    /** @param largest bytes of an unpacked page */
    static void read(Path file, int largest, TextFiles.Documents documents) throws IOException {
        long row = 0;
        try (BoundedCodecs codecs = new BoundedCodecs(file, largest)) {
            ParquetReadOptions options =
                    ParquetReadOptions.builder().withCodecFactory(codecs).build();
            try (ParquetFileReader reader = ParquetFileReader.open(new LocalInputFile(file), options)) {
                MessageType wanted = wanted(file, reader.getFileMetaData().getSchema());
                reader.setRequestedSchema(wanted);
                MessageColumnIO columns = new ColumnIOFactory().getColumnIO(wanted);
                for (PageReadStore pages = reader.readNextRowGroup();
                        pages != null;
                        pages = reader.readNextRowGroup()) {
                    RecordReader<Group> records = columns.getRecordReader(pages, new GroupRecordConverter(wanted));
                    for (long left = pages.getRowCount(); left > 0; left--) {
                        String where = file + ":" + ++row;
                        documents.row(where, new JsonFields(where, ParquetValues.object(records.read(), wanted)));
                    }
                }
            }
        } catch (FormatException e) {
            throw e;
        } catch (RuntimeException e) {
            // why: the library wraps what a codec throws.
            for (Throwable cause = e; cause != null; cause = cause.getCause()) {
                if (cause instanceof FormatException wrong) {
                    throw wrong;
                }
            }
            throw new FormatException(file, "is not a parquet file that can be read: " + e, e);
        }
    }

    private static MessageType wanted(Path file, MessageType schema) {
        TreeSet<String> names = new TreeSet<>();
        for (Type field : schema.getFields()) {
            names.add(field.getName());
        }
        for (List<String> form : FORMS) {
            if (form.stream().allMatch(name -> schema.containsField(name) && serves(schema.getType(name)))) {
                List<Type> fields = new ArrayList<>();
                form.forEach(name -> fields.add(schema.getType(name)));
                if (form.contains("messages") && schema.containsField("tools")) {
                    fields.add(schema.getType("tools"));
                }
                return new MessageType(schema.getName(), fields);
            }
        }
        throw new FormatException(
                file,
                "has neither a column 'text' of texts nor 'prompt' and 'completion' nor 'messages' of lists, but "
                        + names);
    }

    private static boolean serves(Type column) {
        if (column.getName().equals("messages")) {
            return ParquetValues.isList(column);
        }
        return column.isPrimitive()
                && !column.isRepetition(Type.Repetition.REPEATED)
                && column.asPrimitiveType().getPrimitiveTypeName() == PrimitiveTypeName.BINARY;
    }
}
