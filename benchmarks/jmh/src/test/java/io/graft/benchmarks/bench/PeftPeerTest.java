package io.graft.benchmarks.bench;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.benchmarks.bench.BenchCommandTest.Outcome;
import io.graft.benchmarks.peers.PeftStep;
import io.graft.tensor.Context;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * Python's PEFT beside Graft's training step. Where no Python has it, a script plays its part, and what it gets wrong has to
 * be found; {@code ./mvnw -Dgraft.test.python=PYTHON …} holds the true one against Graft.
 */
class PeftPeerTest {
    private static final String PREFIX = "peft ";

    @TempDir
    Path folder;

    @BeforeAll
    static void besideOtherRuns() {
        BenchCommandTest.besideOtherRuns();
    }

    @AfterEach
    void nothingStaysOpen() {
        System.clearProperty(PeftStep.PYTHON);
        assertThat(Context.liveHandles()).isZero();
    }

    private Path python(String serving) throws IOException {
        Path script = Files.writeString(
                folder.resolve("python"), "#!/bin/sh\nif [ \"$1\" = -c ]; then echo; exit; fi\n" + serving + "\n");
        return Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
    }

    private Outcome bench(Object python, String dtype, String methods) {
        return BenchCommandTest.bench(
                "--json",
                "--forks",
                0,
                "--rounds",
                1,
                "--only",
                "step",
                "-p",
                "size=tiny",
                "-p",
                "model=tiny",
                "-p",
                "dtype=" + dtype,
                "-p",
                "methods=" + methods,
                "--python",
                python,
                "--out",
                folder.resolve("out"));
    }

    private static List<JsonNode> peers(Outcome run) throws IOException {
        assertThat(run.status()).as(run.err() + run.out()).isZero();
        return run.events("result").stream()
                .filter(row -> row.get("contender").asText().startsWith(PREFIX))
                .toList();
    }

    @Test
    void otherLogitsAreFound() throws IOException {
        Path wrong = python("read -r ids; echo '{\"logits\":[0.5]}'; while read -r step; do echo '{\"loss\":1}'; done");
        assertThat(peers(bench(wrong, "f32", "lora"))).hasSize(2).allSatisfy(row -> {
            assertThat(row.get("status").asText()).isEqualTo("different");
            assertThat(row.get("note").asText()).isEqualTo("logits has 1 elements, not 4096");
        });
    }

    @Test
    void whatItSaysLastIsQuoted() throws IOException {
        Path broken = python("echo 'ImportError: no torch here' >&2; exit 1");
        assertThat(peers(bench(broken, "f32", "lora"))).hasSize(2).allSatisfy(row -> {
            assertThat(row.get("status").asText()).isEqualTo("refused");
            assertThat(row.get("note").asText()).isEqualTo("PEFT: ImportError: no torch here");
        });
        Path silent = python("exit 3");
        assertThat(peers(bench(silent, "f32", "lora")).get(0).get("note").asText())
                .endsWith("python ended without a word");
    }

    @Test
    void aPythonWithoutItIsRefused() throws IOException {
        Outcome none = bench(folder.resolve("nowhere"), "f32", "lora");
        assertThat(none.status()).isEqualTo(2);
        assertThat(none.err()).contains("--python: there is no " + folder.resolve("nowhere"));
        Path poor = Files.writeString(folder.resolve("poor"), "#!/bin/sh\necho torch, peft\n");
        Files.setPosixFilePermissions(poor, PosixFilePermissions.fromString("rwx------"));
        assertThat(bench(poor, "f32", "lora").err()).contains("--python: " + poor + " has no torch, peft");
    }

    /** Logits, and the loss of a whole step. */
    @Test
    @EnabledIfSystemProperty(named = "graft.test.python", matches = ".+")
    void peftDoesTheSameStep() throws IOException {
        String python = System.getProperty("graft.test.python");
        for (String dtype : List.of("f32", "bf16")) {
            assertThat(peers(bench(python, dtype, "lora:dora:ia3:prompt:vera:oft:full")))
                    .hasSize(8)
                    .allSatisfy(row -> {
                        assertThat(row.get("status").asText())
                                .as(row.toString())
                                .isEqualTo("timed");
                        assertThat(row.get("peak_bytes").get("all").asLong()).isPositive();
                    });
        }
    }
}
