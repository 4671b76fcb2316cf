package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A process killed in the middle of its work leaves a checkpoint from which the run goes on bit for bit. */
class KillTest {
    @Test
    void aKilledRunGoesOnAsIfNothingHadHappened(@TempDir Path directory) throws IOException, InterruptedException {
        Path file = directory.resolve("run.safetensors");
        runUntilKilled(file, 4);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            try (Llama resumed = load(scope);
                    Llama whole = load(scope);
                    Trainer second = new Trainer(resumed, TrainerTest.options(0), TrainerTest.source(3));
                    Trainer first = new Trainer(whole, TrainerTest.options(0), TrainerTest.source(3))) {
                second.resume(file);
                assertThat(second.steps()).isGreaterThanOrEqualTo(4);
                while (first.steps() < second.steps()) {
                    first.step();
                }
                for (int i = 0; i < 3; i++) {
                    assertThat(second.step()).isEqualTo(first.step());
                }
                for (int i = 0; i < whole.trainable().size(); i++) {
                    assertThat(resumed.trainable().get(i).master().floats())
                            .isEqualTo(whole.trainable().get(i).master().floats());
                }
            }
        }
    }

    private static Llama load(Scope scope) {
        return Golden.load(scope, "llama_gqa", DType.F32, Llama.Options.training(TrainerTest.LORA.get()));
    }

    private static void runUntilKilled(Path file, int steps) throws IOException, InterruptedException {
        Path java = Path.of(System.getProperty("java.home"), "bin", "java");
        Process process = new ProcessBuilder(
                        java.toString(),
                        "-Dorg.bytedeco.javacpp.cachedir=" + System.getProperty("org.bytedeco.javacpp.cachedir"),
                        "-cp",
                        System.getProperty("java.class.path"),
                        KilledRun.class.getName(),
                        file.toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        try (BufferedReader output = process.inputReader(StandardCharsets.UTF_8)) {
            String line = output.readLine();
            while (line != null && Integer.parseInt(line) < steps) {
                line = output.readLine();
            }
            assertThat(line).as("the child ended early").isNotNull();
        } finally {
            process.destroyForcibly().waitFor();
        }
    }
}
