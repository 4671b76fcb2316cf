package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.tensor.Weight;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code finetune} with every method, and the commands that use its results. */
class FinetuneTest extends FinetuneRuns {
    /** Files of these hold the same sums with other terms. */
    private static final Set<String> CONVERTED =
            Set.of("lora-dropout", "periodic-lora", "pissa", "olora", "loraga", "corda", "adalora", "sora");

    static Stream<String> methods() {
        return Stream.concat(
                Method.all(Weight.Kind.DENSE, Quantization.NONE).stream().map(Method::name), Stream.of("prefix+lora"));
    }

    @ParameterizedTest
    @MethodSource("methods")
    void lossFallsAndTheResultIsUsable(String method) {
        Path out = folder.resolve(method);
        Cli run = trained(out, "--method", method, "--steps", 30);
        assertThat(run.events("step")).hasSize(30);
        assertThat(after(run)).isLessThan(before(run) - 0.3);
        assertThat(run.events("done").get(0).get("peak_memory_bytes").asLong()).isPositive();

        Object[] target = Method.named(method).peftType() == null
                ? new Object[] {"--model", out}
                : new Object[] {"--model", MODEL, "--adapter", out};
        assertThat(evaluate(target)).isCloseTo(after(run), Offset.offset(CONVERTED.contains(method) ? 1e-5 : 0));
        Object[] generate = {"generate", "--prompt", "assertEquals(", "--max-tokens", 5, "--temperature", 0, "--json"};
        Cli generated = Cli.run(with(generate, target));
        assertThat(generated.status()).isZero();
        assertThat(generated.events("generated").get(0).get("tokens").asInt()).isBetween(1, 5);
    }

    /** The list of what trains over codes says what the adapters themselves accept. */
    @Test
    void overCodesTrainsWhatIsListed() {
        List<Method> listed = Method.all(Weight.Kind.DENSE, Quantization.NF4);
        for (Method method : Method.all()) {
            Path out = folder.resolve("nf4-" + method.name());
            Cli run = finetune(out, "--method", method.name(), "--quantize", "nf4", "--steps", 1);
            assertThat(run.status() == 0).as(method.name() + ": " + run.err()).isEqualTo(listed.contains(method));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"lora", "miss", "bitfit", "bottleneck", "prompt", "llama-adapter"})
    void lossFallsOverAQuantisedBase(String method) {
        Path out = folder.resolve(method);
        Cli run = trained(out, "--method", method, "--quantize", "nf4", "--steps", 30);
        assertThat(after(run)).isLessThan(before(run));
        assertThat(lossOf(out, "--quantize", "nf4")).isEqualTo(after(run));
        Object[] dense = {"eval", "--model", MODEL, "--adapter", out, "--data", text, "--length", 32};
        String other = "was trained with --quantize nf4; with --quantize none it does not do the same";
        assertThat(Cli.run(dense).err()).contains(other);
        assertThat(Cli.run(with(dense, "--quantize", "nf4")).err()).doesNotContain("was trained");
        Object[] generate = {"generate", "--model", MODEL, "--adapter", out, "--quantize", "nf4"};
        assertThat(Cli.run(with(generate, "--prompt", "assert", "--max-tokens", 2))
                        .status())
                .isZero();
        assertThat(finetune(out, "--method", method, "--steps", 30, "--resume").err())
                .contains("--quantize nf4, not none");
    }

    @Test
    void aWholeModelGoesWithNoAdapter() {
        Cli run = finetune(folder.resolve("out"), "--method", "full+lora", "--steps", 1);
        assertThat(run.status()).isEqualTo(2);
        assertThat(run.err()).contains("'full' trains the model itself and goes with no other");
        assertThat(finetune(folder.resolve("out"), "--method", "loftq", "--steps", 1)
                        .err())
                .contains("q_proj is DENSE; LoftQ starts from a dense checkpoint that is quantised as it is loaded");
    }

    @Test
    void checkpointsOnTheWayChangeNothing() throws Exception {
        Path whole = folder.resolve("whole");
        assertThat(finetune(whole, "--steps", 6, "--dropout", 0.1).status()).isZero();
        Path saving = folder.resolve("saving");
        Cli run = finetune(saving, "--steps", 6, "--dropout", 0.1, "--save-every", 2, "--json");
        assertThat(run.events("checkpoint")).hasSize(3);
        assertThat(Files.mismatch(adapter(whole), adapter(saving))).isEqualTo(-1);
    }

    @Test
    void anotherRunIsNeitherOverwrittenNorMixed() {
        Path out = folder.resolve("out");
        assertThat(finetune(out, "--steps", 1).status()).isZero();
        assertThat(finetune(out, "--steps", 1).err()).contains("already holds a run", "--resume", "--overwrite");
        assertThat(finetune(out, "--steps", 1, "--overwrite").status()).isZero();
        Cli mixed = finetune(out, "--steps", 1, "--resume", "--rank", 4);
        assertThat(mixed.status()).isEqualTo(1);
        assertThat(mixed.err()).contains("--rank 16, not 4");
        assertThat(finetune(folder.resolve("new"), "--steps", 1, "--resume").err())
                .contains("no run to continue");
        assertThat(finetune(MODEL, "--steps", 1).err()).contains("--out must not be, or hold, what is read");
    }

    @Test
    void anotherTextIsNotResumed() throws Exception {
        Path out = folder.resolve("out");
        assertThat(finetune(out, "--steps", 1).status()).isZero();
        assertThat(finetune(out, "--steps", 1, "--resume").status()).isZero();
        String same = Files.readString(text).replace("list", "lost");
        Files.writeString(text, same);
        assertThat(finetune(out, "--steps", 1, "--resume").err()).contains("text of --data", "SHA-256");
    }

    @Test
    void anAdapterOverRandomWeightsIsRefused() {
        Cli run = finetune(folder.resolve("out"), "--steps", 1, "--from-scratch");
        assertThat(run.status()).isEqualTo(2);
        assertThat(run.err()).contains("--from-scratch goes with --method full");
        assertThat(folder.resolve("out")).doesNotExist();
    }

    @Test
    void aRunWithoutStepsLeftHasNoLoss() {
        Path out = folder.resolve("done");
        assertThat(finetune(out, "--steps", 1).out()).contains("1 steps in", "last loss");
        assertThat(finetune(out, "--steps", 1, "--resume").out())
                .contains("no steps were left")
                .doesNotContain("NaN");
        assertThat(finetune(out, "--steps", 1, "--lr", 0.5, "--resume").err()).contains("has --lr not given, not 0.5");
    }

    @Test
    void aRunThatFailsBeforeItsFirstCheckpointSaysSo() {
        Object[] far = {"--method", "full", "--lr", 1e10, "--clip", 0, "--warmup", 0, "--steps", 40};
        assertThat(finetune(folder.resolve("first"), far).err()).contains("there is no checkpoint yet");
    }

    @Test
    void textThatIsTooShortIsSaid() throws Exception {
        Files.writeString(text, "a");
        Cli run = finetune(folder.resolve("out"), "--steps", 1);
        assertThat(run.status()).isEqualTo(1);
        assertThat(run.err())
                .contains(text.toString(), "tokens, a row of 32 needs as many", "--length", "--rows documents");
    }

    @Test
    void infoDescribesTheModel() {
        Cli run = Cli.run("info", "--model", MODEL, "--json");
        assertThat(run.events("machine").get(0).get("methods"))
                .hasSize(Method.all().size());
        assertThat(run.events("model").get(0).get("tied").asBoolean()).isTrue();
        assertThat(Cli.run("info", "--model", MODEL).out()).contains("2 layers, hidden 40", "parameters");
    }
}
