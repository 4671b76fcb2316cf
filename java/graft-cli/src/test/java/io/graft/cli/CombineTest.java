package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
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

    /** Of an adapter that was trained on the text and one of noise, the search takes the first. */
    @Test
    void lorahubFindsTheAdapterThatHelps() throws Exception {
        Path text = text();
        Path trained = folder.resolve("trained");
        Path noise = folder.resolve("noise");
        finetune(text, trained, "2e-3", 40);
        finetune(Files.writeString(folder.resolve("other.txt"), "zx qw 9# (( vb ".repeat(40)), noise, "2e-3", 10);
        Path out = folder.resolve("hub");
        Object[] search = {
            "combine",
            "--how",
            "lorahub",
            "--adapter",
            noise,
            "--adapter",
            trained,
            "--model",
            MODEL,
            "--data",
            text,
            "--length",
            32,
            "--evaluations",
            60,
            "--threads",
            1,
            "--json",
            "--out",
            out
        };
        Cli run = Cli.run(search);
        assertThat(run.err()).isEmpty();
        List<JsonNode> tries = run.events("evaluation");
        assertThat(tries).hasSize(60);
        assertThat(tries.get(0).get("weights").toString()).isEqualTo("[0.0,0.0]");
        assertThat(tries)
                .allSatisfy(one -> one.get("weights")
                        .forEach(weight -> assertThat(weight.asDouble()).isBetween(-1.5, 1.5)));
        JsonNode found = run.events("combined").get(0).get("weights");
        assertThat(Math.abs(found.get(1).asDouble())).isGreaterThan(0.5);
        assertThat(loss(out)).isLessThan(loss(null) - 0.3);
        byte[] first = Files.readAllBytes(out.resolve("adapter_model.safetensors"));
        Object[] again = Arrays.copyOf(search, search.length + 1);
        again[search.length] = "--overwrite";
        assertThat(Cli.run(again).status()).isZero();
        assertThat(Files.readAllBytes(out.resolve("adapter_model.safetensors"))).isEqualTo(first);
    }

    private static void finetune(Path text, Path out, String rate, int steps) {
        Cli run = Cli.run(
                "finetune",
                "--model",
                MODEL,
                "--data",
                text,
                "--out",
                out,
                "--length",
                32,
                "--batch",
                2,
                "--threads",
                1,
                "--steps",
                steps,
                "--rank",
                4,
                "--lr",
                rate);
        assertThat(run.status()).as(run.err()).isZero();
    }

    @Test
    void badInputIsNamed() {
        Path adapter = Cli.adapter("llama_tied", "lora");
        assertThat(Cli.run("combine", "--adapter", adapter, "--how", "cat", "--out", adapter)
                        .err())
                .contains("--out must not be, or hold, what is read");
        assertThat(Cli.run("combine", "--adapter", folder.resolve("no"), "--how", "cat", "--out", folder)
                        .err())
                .contains("--adapter does not exist");
        Path out = folder.resolve("out");
        assertThat(Cli.run(
                                "combine",
                                "--adapter",
                                adapter,
                                "--adapter",
                                adapter,
                                "--how",
                                "svd",
                                "--rank",
                                4000,
                                "--out",
                                out)
                        .err())
                .contains("rank 4000 is more than", "the full rank of");
        assertThat(folder).isEmptyDirectory();
    }

    private double loss(Path adapter) throws Exception {
        Path text = text();
        Object[] arguments = {
            "eval", "--model", MODEL, "--data", text, "--length", 32, "--batch", 2, "--json", "--adapter", adapter
        };
        Cli run = Cli.run(adapter == null ? Arrays.copyOf(arguments, arguments.length - 2) : arguments);
        return run.events("eval").get(0).get("loss").asDouble();
    }

    private Path text() throws Exception {
        return Files.writeString(folder.resolve("text.txt"), "assertEquals(1, list.get(1));\n".repeat(20));
    }
}
