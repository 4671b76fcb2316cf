package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
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
 * Reads training text: a directory's {@code .java}, {@code .txt} and {@code .jsonl} files in the order of their paths,
 * or one file of any name. A line of {@code .jsonl} holds {@code text}, or {@code prompt} and {@code completion}; any
 * other file is one document.
 */
final class TextFiles {
    /** Takes one document; the prompt, which may be empty, is read but not learnt. */
    interface Documents {
        void add(String prompt, String text);
    }

    private static final List<String> ENDINGS = List.of(".java", ".txt", ".jsonl");

    private TextFiles() {}

    static void read(Path source, Documents documents) {
        for (Path file : files(source)) {
            String text = text(file);
            if (file.toString().endsWith(".jsonl")) {
                readLines(file, text, documents);
            } else if (!text.isEmpty()) {
                documents.add("", text);
            }
        }
    }

    private static List<Path> files(Path source) {
        if (!Files.isDirectory(source)) {
            return List.of(source);
        }
        try (Stream<Path> found = Files.walk(source)) {
            List<Path> files = found.filter(Files::isRegularFile)
                    .filter(file -> ENDINGS.stream().anyMatch(file.toString().toLowerCase(Locale.ROOT)::endsWith))
                    .sorted()
                    .toList();
            if (files.isEmpty()) {
                throw new FormatException(source, "holds no file that ends with one of " + ENDINGS);
            }
            return files;
        } catch (IOException e) {
            throw new FormatException(source, "cannot be listed: " + e, e);
        }
    }

    private static String text(Path file) {
        try {
            byte[] bytes = Files.readAllBytes(file);
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new FormatException(file, "is not UTF-8", e);
        } catch (NoSuchFileException e) {
            throw new FormatException(file, "no such file", e);
        } catch (IOException e) {
            throw new FormatException(file, "cannot be read: " + e, e);
        }
    }

    private static void readLines(Path file, String text, Documents documents) {
        String[] lines = text.split("\n", -1);
        for (int i = 0; i < lines.length; i++) {
            if (lines[i].isBlank()) {
                continue;
            }
            String where = file + ":" + (i + 1);
            ObjectNode json = Json.readObject(where, lines[i]);
            JsonFields fields = new JsonFields(where, json);
            if (fields.has("text")) {
                documents.add("", fields.text("text"));
            } else if (fields.has("prompt")) {
                documents.add(fields.text("prompt"), fields.text("completion"));
            } else {
                throw new FormatException(where, "has neither 'text' nor 'prompt' and 'completion'");
            }
        }
    }
}
