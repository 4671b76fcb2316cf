package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A training process that is stopped or killed, and continued: the result has the same bits as without that. */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
class InterruptionTest {
    private static final int STEPS = 150;

    @TempDir
    Path folder;

    private Path text;

    @BeforeEach
    void writeText() throws IOException {
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < 60; i++) {
            lines.append("assertEquals(")
                    .append(i)
                    .append(", list.get(")
                    .append(i)
                    .append("));\\n".repeat(1 + i % 3));
        }
        text = Files.writeString(folder.resolve("text.txt"), lines);
    }

    @Test
    void aSignalSavesAndSaysWhere() throws Exception {
        Path out = folder.resolve("stopped");
        Process process = start(out);
        await(process, "\"event\":\"step\"", 5);
        process.destroy();
        // 128 + SIGTERM, which the JVM treats like SIGINT
        assertThat(process.waitFor()).isEqualTo(143);
        assertThat(said()).contains("\"event\":\"interrupted\"", "training.safetensors");
        assertSameAsUninterrupted(out);
    }

    @Test
    void aKilledProcessLosesOnlyTheStepsSinceItsCheckpoint() throws Exception {
        Path out = folder.resolve("killed");
        Process process = start(out);
        await(process, "\"event\":\"checkpoint\"", 2);
        process.destroyForcibly().waitFor();
        assertSameAsUninterrupted(out);
    }

    @Test
    void aSignalDuringTheEvaluationBeforeEndsIt() throws Exception {
        Path large = Files.writeString(
                folder.resolve("large.txt"), Files.readString(text).repeat(200));
        Path out = folder.resolve("evaluating");
        Process process = launch(with("--out", out, "--json", "--eval-data", large));
        await(process, "\"event\":\"start\"", 1);
        process.destroy();
        assertThat(process.waitFor()).isEqualTo(143);
        assertThat(said()).contains("\"event\":\"interrupted\",\"step\":0").doesNotContain("\"event\":\"eval\"");
    }

    @Test
    void aSignalKeepsThePromptsThatAreDone() throws Exception {
        int count = 20_000;
        Path prompts = Files.writeString(folder.resolve("prompts.jsonl"), "{\"prompt\": \"assert\"}\n".repeat(count));
        Path results = folder.resolve("results.jsonl");
        Object[] line = {
            "generate", "--model", Cli.model("llama_tied"), "--prompts", prompts, "--results", results, "--json"
        };
        Process process = launch(line);
        while (!Files.exists(results) || Files.size(results) == 0) {
            assertThat(process.isAlive()).as(said()).isTrue();
            Thread.sleep(20);
        }
        process.destroy();
        assertThat(process.waitFor()).isEqualTo(143);
        List<String> lines = Files.readAllLines(results);
        assertThat(lines)
                .hasSizeBetween(1, count - 1)
                .allMatch(each -> each.endsWith("\"end\":\"length\"}") || each.endsWith("\"end\":\"token\"}"));
        assertThat(said()).contains("\"event\":\"interrupted\",\"prompts\":" + lines.size());
    }

    private void assertSameAsUninterrupted(Path out) throws Exception {
        assertThat(out.resolve("adapter_model.safetensors")).doesNotExist();
        Cli resumed = Cli.run(with("--out", out, "--resume", "--json"));
        assertThat(resumed.err()).isEmpty();
        int step = resumed.events("resumed").get(0).get("step").asInt();
        assertThat(step).isBetween(5, STEPS - 1);
        assertThat(resumed.events("step")).hasSize(STEPS - step);
        Path whole = folder.resolve("whole");
        assertThat(Cli.run(with("--out", whole)).status()).isZero();
        assertThat(Files.mismatch(out.resolve("adapter_model.safetensors"), whole.resolve("adapter_model.safetensors")))
                .isEqualTo(-1);
    }

    private Process start(Path out) throws IOException {
        return launch(with("--out", out, "--json"));
    }

    private Process launch(Object... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Dorg.bytedeco.javacpp.cachedir=" + System.getProperty("org.bytedeco.javacpp.cachedir"),
                "-cp",
                System.getProperty("java.class.path"),
                Graft.class.getName()));
        for (Object argument : arguments) {
            command.add(argument.toString());
        }
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(log().toFile())
                .start();
    }

    private Object[] with(Object... more) {
        List<Object> all = new ArrayList<>(List.of(
                "finetune",
                "--model",
                Cli.model("llama_tied"),
                "--data",
                text,
                "--steps",
                STEPS,
                "--length",
                32,
                "--batch",
                2,
                "--dropout",
                0.1,
                "--save-every",
                5,
                "--threads",
                1));
        all.addAll(List.of(more));
        return all.toArray();
    }

    private void await(Process process, String line, int times) throws Exception {
        while (said().split(line, -1).length - 1 < times) {
            assertThat(process.isAlive())
                    .as("the process ended early: " + said())
                    .isTrue();
            Thread.sleep(20);
        }
    }

    private String said() throws IOException {
        return Files.readString(log());
    }

    private Path log() {
        return folder.resolve("log.txt");
    }
}
