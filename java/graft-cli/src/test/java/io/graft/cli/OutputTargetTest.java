package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What every command that writes a folder does to one that holds something. */
class OutputTargetTest {
    private static final Path MODEL = Cli.model("llama_tied");
    private static final Path ADAPTER = Cli.adapter("llama_tied", "lora");

    enum Writer {
        FINETUNE,
        FULL,
        COMBINE,
        MERGE,
        QUANTIZE,
        SKETCH
    }

    @TempDir
    Path folder;

    private Path text;
    private Path out;

    @BeforeEach
    void write() throws IOException {
        text = Files.writeString(folder.resolve("text.txt"), "assertEquals(1, list.get(1));\n".repeat(20));
        out = folder.resolve("out");
    }

    @ParameterizedTest
    @EnumSource
    void resultsAreReplacedOnlyWhenThatIsAsked(Writer writer) throws IOException {
        for (Path result : new Path[] {ADAPTER, MODEL, run()}) {
            copy(result, out);
            Files.writeString(out.resolve("README.md"), "of the older one");
            Map<String, String> before = contents(out);
            Cli refused = write(writer, out);
            assertThat(refused.status()).isEqualTo(1);
            assertThat(refused.err()).contains(out + " already holds a", "--overwrite replaces it");
            assertThat(contents(out)).isEqualTo(before);

            Cli replaced = write(writer, out, "--overwrite");
            assertThat(replaced.status()).as(replaced.err()).isZero();
            Path fresh = folder.resolve("fresh");
            write(writer, fresh);
            assertThat(contents(out).keySet()).isEqualTo(contents(fresh).keySet());
            delete(out);
            delete(fresh);
        }
    }

    @ParameterizedTest
    @EnumSource
    void foreignFilesAreNeverReplaced(Writer writer) throws IOException {
        Files.createDirectories(out);
        Files.writeString(out.resolve("thesis.tex"), "mine");
        assertThat(write(writer, out, "--overwrite").err()).contains("holds thesis.tex", "is not replaced");
        copy(MODEL, out);
        assertThat(write(writer, out, "--overwrite").err()).contains("holds thesis.tex", "is not replaced");
        Files.delete(out.resolve("thesis.tex"));
        copy(MODEL, out.resolve("inner"));
        assertThat(write(writer, out, "--overwrite").err()).contains("holds inner", "is not replaced");
        assertThat(out.resolve("inner").resolve("model.safetensors")).exists();
    }

    @ParameterizedTest
    @EnumSource
    void aFileIsNoFolder(Writer writer) throws IOException {
        Files.writeString(out, "mine");
        assertThat(write(writer, out, "--overwrite").err()).contains("is not a directory: " + out);
        assertThat(out).hasContent("mine");
    }

    @Test
    void anOlderResultStaysUntilTheNewRunBegins() throws IOException {
        copy(run(), out);
        Map<String, String> before = contents(out);
        text = Files.writeString(folder.resolve("short.txt"), "a");
        assertThat(write(Writer.FINETUNE, out, "--overwrite").status()).isEqualTo(1);
        assertThat(contents(out)).isEqualTo(before);
    }

    private Path run() {
        Path made = folder.resolve("run");
        if (!Files.exists(made)) {
            assertThat(write(Writer.FINETUNE, made).status()).isZero();
        }
        return made;
    }

    private Cli write(Writer writer, Path to, Object... more) {
        Object[] trains = {
            "finetune", "--model", MODEL, "--data", text, "--length", 32, "--steps", 1, "--threads", 1, "--out", to
        };
        List<Object> words = new ArrayList<>(
                switch (writer) {
                    case FINETUNE -> List.of(trains);
                    case FULL -> {
                        List<Object> full = new ArrayList<>(List.of(trains));
                        full.addAll(List.of("--method", "full"));
                        yield full;
                    }
                    case COMBINE -> List.of("combine", "--how", "cat", "--adapter", ADAPTER, "--out", to);
                    case MERGE -> List.of("merge", "--model", MODEL, "--adapter", ADAPTER, "--out", to);
                    case QUANTIZE -> List.of("quantize", "--model", MODEL, "--output", to);
                    case SKETCH ->
                        List.of("sketch", "--model", MODEL, "--calibration", text, "--length", 32, "--output", to);
                });
        words.addAll(Arrays.asList(more));
        return Cli.run(words.toArray());
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.createDirectories(to);
        try (Stream<Path> files = Files.list(from)) {
            for (Path file : (Iterable<Path>) files::iterator) {
                Files.copy(file, to.resolve(file.getFileName()));
            }
        }
    }

    private static void delete(Path folder) throws IOException {
        for (String name : contents(folder).keySet()) {
            Files.delete(folder.resolve(name));
        }
        Files.delete(folder);
    }

    private static Map<String, String> contents(Path folder) throws IOException {
        Map<String, String> contents = new TreeMap<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : (Iterable<Path>) files::iterator) {
                contents.put(file.getFileName().toString(), Arrays.toString(Files.readAllBytes(file)));
            }
        }
        return contents;
    }
}
