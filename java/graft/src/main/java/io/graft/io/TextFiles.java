package io.graft.io;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * Finds training text: a directory's {@code .java}, {@code .txt}, {@code .jsonl}, {@code .ndjson} and {@code .parquet} files in
 * the order of their paths, or one file of any name but {@code .json}, {@code .csv} and {@code .tsv}. The endings count in any
 * case. The latter three kinds of a directory's files have rows with fields; any other file is one document.
 */
final class TextFiles {
    /** Takes what is found. */
    interface Documents {
        /** A file that is one document. */
        void text(String text);

        /** A row with fields; {@code where} names file and line. */
        void row(String where, JsonFields fields);
    }

    private static final List<String> LINES = List.of(".jsonl", ".ndjson");
    private static final List<String> ENDINGS = List.of(".java", ".txt", ".jsonl", ".ndjson", ".parquet");

    /** Tables, of which nobody says what is to be read; as text their syntax would be learnt. */
    private static final List<String> TABLES = List.of(".json", ".csv", ".tsv");

    private TextFiles() {}

    static void read(Path source, Documents documents) {
        for (Path file : files(source)) {
            if (ends(file, LINES)) {
                readLines(file, documents);
                continue;
            }
            if (ends(file, List.of(".parquet"))) {
                reading(file, () -> {
                    ParquetRows.read(file, documents);
                    return null;
                });
                continue;
            }
            String text = text(file);
            if (!text.isEmpty()) {
                documents.text(text);
            }
        }
    }

    /** What is read of a source, in this order. */
    static List<Path> files(Path source) {
        if (!Files.isDirectory(source)) {
            if (ends(source, TABLES)) {
                throw new FormatException(
                        source,
                        "is no text that can be read; write its rows as .jsonl, one object with 'text', or with 'prompt'"
                                + " and 'completion', on each line");
            }
            return List.of(source);
        }
        List<Path> files =
                all(source).stream().filter(file -> ends(file, ENDINGS)).toList();
        if (files.isEmpty()) {
            throw new FormatException(source, "holds no file that ends with one of " + ENDINGS);
        }
        return files;
    }

    /** The tables of a directory, which are passed over. */
    static List<Path> skipped(Path source) {
        return Files.isDirectory(source)
                ? all(source).stream().filter(file -> ends(file, TABLES)).toList()
                : List.of();
    }

    private static boolean ends(Path file, List<String> endings) {
        return endings.stream().anyMatch(file.toString().toLowerCase(Locale.ROOT)::endsWith);
    }

    private static List<Path> all(Path directory) {
        try (Stream<Path> found = Files.walk(directory)) {
            return found.filter(Files::isRegularFile).sorted().toList();
        } catch (IOException e) {
            throw new FormatException(directory, "cannot be listed: " + e, e);
        }
    }

    private static String text(Path file) {
        return reading(
                file,
                () -> StandardCharsets.UTF_8
                        .newDecoder()
                        .decode(ByteBuffer.wrap(Files.readAllBytes(file)))
                        .toString());
    }

    /** A line at a time, so that the file may be larger than memory. */
    private static void readLines(Path file, Documents documents) {
        reading(file, () -> {
            try (BufferedReader lines = Files.newBufferedReader(file)) {
                int number = 0;
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    number++;
                    if (!line.isBlank()) {
                        String where = file + ":" + number;
                        documents.row(where, new JsonFields(where, Json.readObject(where, line)));
                    }
                }
            }
            return null;
        });
    }

    private interface Reading<T> {
        T read() throws IOException;
    }

    private static <T> T reading(Path file, Reading<T> reading) {
        try {
            return reading.read();
        } catch (CharacterCodingException e) {
            throw new FormatException(file, "is not UTF-8", e);
        } catch (NoSuchFileException e) {
            throw new FormatException(file, "no such file", e);
        } catch (IOException e) {
            throw new FormatException(file, "cannot be read: " + e, e);
        }
    }
}
