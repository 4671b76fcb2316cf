package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code combine}, and that the other commands use its result. */
class CombineTest {
    private static final Path MODEL = Cli.model("llama_tied");

    @TempDir
    Path folder;

    /** Two halves of an adapter are the adapter: LoRA's sums to rounding, averages exactly. */
    @ParameterizedTest
    @ValueSource(strings = {"cat", "svd", "average", "mera"})
    void twoHalvesAreTheAdapter(String how) throws Exception {
        Path adapter = Cli.adapter("llama_tied", "lora");
        Path out = folder.resolve("out");
        Cli run = Cli.run(
                "combine",
                "--adapter",
                adapter,
                "--adapter",
                adapter,
                "--weights",
                "0.5,0.5",
                "--how",
                how,
                "--out",
                out,
                "--json");
        assertThat(run.err()).isEmpty();
        assertThat(run.events("combined").get(0).get("weights").size()).isEqualTo(2);
        assertThat(loss(out)).isCloseTo(loss(adapter), Offset.offset(1e-5));
        assertThat(Math.abs(loss(adapter) - loss(null))).isGreaterThan(1e-3);
    }

    @Test
    void badInputIsNamed() {
        Path adapter = Cli.adapter("llama_tied", "lora");
        assertThat(Cli.run("combine", "--adapter", adapter, "--how", "cat", "--out", adapter)
                        .err())
                .contains("--out must not be the folder of an adapter");
        assertThat(Cli.run("combine", "--adapter", folder.resolve("no"), "--how", "cat", "--out", folder)
                        .err())
                .contains("--adapter does not exist");
    }

    private double loss(Path adapter) throws Exception {
        Path text = Files.writeString(folder.resolve("text.txt"), "assertEquals(1, list.get(1));\n".repeat(20));
        Object[] arguments = {
            "eval", "--model", MODEL, "--data", text, "--length", 32, "--batch", 2, "--json", "--adapter", adapter
        };
        Cli run = Cli.run(adapter == null ? Arrays.copyOf(arguments, arguments.length - 2) : arguments);
        return run.events("eval").get(0).get("loss").asDouble();
    }
}
