package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.Set;
import java.util.stream.Stream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code merge} of what every method trains: the same loss from weights alone, or a refusal that names the adapter. */
class MergeMethodsTest extends FinetuneRuns {
    /** What adds tokens, networks, shifts or gates that depend on the input. */
    private static final Set<String> IN_NO_WEIGHT = Set.of(
            "ssf",
            "bitfit",
            "u-bitfit",
            "s-bitfit",
            "bottleneck",
            "sparse-adapter",
            "mam",
            "prompt",
            "xprompt",
            "dept",
            "prefix",
            "propagation",
            "ptuning",
            "llama-adapter",
            "lst",
            "compacter",
            "moelora",
            "mixlora",
            "mov",
            "adamix",
            "smop",
            "unipelt");

    static Stream<String> methods() {
        return Stream.concat(
                Method.all(Weight.Kind.DENSE, Quantization.NONE).stream()
                        .filter(method -> method.peftType() != null)
                        .map(Method::name),
                Stream.of("ln+lora"));
    }

    @ParameterizedTest
    @MethodSource("methods")
    void theMergedModelHasTheAdaptersLoss(String method) {
        Path out = folder.resolve("adapter");
        Path merged = folder.resolve("merged");
        assertThat(finetune(out, "--method", method, "--steps", 5).status()).isZero();
        Cli run = Cli.run("merge", "--model", MODEL, "--adapter", out, "--out", merged, "--max-shard-size", "30KB");
        if (IN_NO_WEIGHT.contains(method)) {
            assertThat(run.err()).contains("no weight can hold what");
            assertThat(merged).doesNotExist();
            return;
        }
        assertThat(run.err()).isEmpty();
        double adapted = lossOf(out);
        assertThat(adapted).isNotCloseTo(evaluate("--model", MODEL), Offset.offset(1e-3));
        assertThat(evaluate("--model", merged)).isCloseTo(adapted, Offset.offset(2e-5));
    }

    @ParameterizedTest
    @ValueSource(strings = {"lora", "loha", "hira", "oft", "paca", "vera", "ln"})
    void trainedOverCodesInMemory(String method) {
        Path out = folder.resolve("adapter");
        Path merged = folder.resolve("merged");
        assertThat(finetune(out, "--method", method, "--steps", 5, "--quantize", "nf4")
                        .status())
                .isZero();
        Cli run = Cli.run("merge", "--model", MODEL, "--adapter", out, "--out", merged, "--base", "nf4");
        assertThat(run.err()).isEmpty();
        assertThat(evaluate("--model", merged))
                .isCloseTo(lossOf(out, "--quantize", "nf4"), Offset.offset(2e-5))
                .isNotCloseTo(lossOf(out), Offset.offset(1e-4));
        Path dense = folder.resolve("dense");
        assertThat(Cli.run("merge", "--model", MODEL, "--adapter", out, "--out", dense)
                        .err())
                .contains("was trained with --quantize nf4; with --base none it does not do the same");
    }
}
