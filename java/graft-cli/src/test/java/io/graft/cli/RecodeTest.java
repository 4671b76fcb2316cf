package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.tensor.Context;
import io.graft.tensor.Weight;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code sketch} and {@code quantize}, and the other commands over what they write. */
class RecodeTest {
    private static final Path MODEL = Cli.model("llama_tied");

    @TempDir
    Path folder;

    private Path text;
    private Path out;

    @BeforeEach
    void writeText() throws Exception {
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < 60; i++) {
            lines.append("assertEquals(")
                    .append(i)
                    .append(", list.get(")
                    .append(i)
                    .append("));\n");
        }
        text = Files.writeString(folder.resolve("text.txt"), lines);
        out = folder.resolve("coded");
    }

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    private Cli sketch(Object... more) {
        List<Object> all = new ArrayList<>(
                List.of("sketch", "--model", MODEL, "--calibration", text, "--output", out, "--length", 32));
        all.addAll(Arrays.asList(more));
        return Cli.run(all.toArray());
    }

    private double loss(Object... target) {
        List<Object> all = new ArrayList<>(List.of("eval", "--data", text, "--length", 32, "--batch", 2, "--json"));
        all.addAll(Arrays.asList(target));
        Cli run = Cli.run(all.toArray());
        assertThat(run.err()).isEmpty();
        return run.events("eval").get(0).get("loss").asDouble();
    }

    @ParameterizedTest
    @CsvSource({"4, 2, 0.05", "3, 1, 0.2", "2, 1, 0.5"})
    void aSketchedModelIsReadAndItsTablesTrained(int bits, int groups, double near) {
        Cli made = sketch("--bits", bits, "--groups", groups, "--json");
        assertThat(made.err()).isEmpty();
        assertThat(made.status()).isZero();
        assertThat(made.events("layer"))
                .hasSize(14)
                .allMatch(layer -> layer.get("error").asDouble() > 0);
        double dense = loss("--model", MODEL);
        double sketched = loss("--model", out);
        assertThat(sketched).isNotEqualTo(dense).isBetween(dense - near, dense + near);

        Path adapter = folder.resolve("adapter");
        Cli tuned = Cli.run(
                "finetune",
                "--model",
                out,
                "--data",
                text,
                "--method",
                "sketchtune",
                "--steps",
                20,
                "--length",
                32,
                "--batch",
                2,
                "--out",
                adapter,
                "--bits",
                2,
                "--groups",
                1);
        assertThat(tuned.status()).isZero();
        double trained = loss("--model", out, "--adapter", adapter);
        assertThat(trained).isLessThan(sketched - 0.3);
        Cli wrong = Cli.run("eval", "--model", MODEL, "--adapter", adapter, "--data", text, "--length", 32);
        assertThat(wrong.status()).isEqualTo(1);
        assertThat(wrong.err()).contains("has other codes than those that its table was trained for");
    }

    @Test
    void whatTrainsDependsOnTheBase() {
        assertThat(names(Weight.Kind.DENSE, Quantization.NONE))
                .contains("sketchtune", "dora")
                .doesNotContain("loftq");
        assertThat(names(Weight.Kind.DENSE, Quantization.NF4)).contains("loftq").doesNotContain("sketchtune", "dora");
        assertThat(names(Weight.Kind.NF4, Quantization.NONE)).contains("lora").doesNotContain("sketchtune", "loftq");
        assertThat(names(Weight.Kind.SKETCH, Quantization.NONE))
                .contains("sketchtune", "lora")
                .doesNotContain("full");
        assertThat(sketch("--bits", 4).status()).isZero();
        Cli compared = Cli.run(
                "compare",
                "--model",
                out,
                "--data",
                text,
                "--steps",
                2,
                "--length",
                32,
                "--batch",
                2,
                "--out",
                folder.resolve("report"));
        assertThat(compared.status()).as(compared.err()).isZero();
        assertThat(compared.out()).contains("SketchTune", "LoRA");
    }

    private static List<String> names(Weight.Kind stored, Quantization base) {
        return Method.all(stored, base).stream().map(Method::name).toList();
    }

    @Test
    void codesOfFilesAreThoseOfQuantizingWhileLoading() {
        Cli made = Cli.run("quantize", "--model", MODEL, "--output", out, "--json");
        assertThat(made.status()).isZero();
        JsonNode done = made.events("done").get(0);
        assertThat(done.get("bytes").asLong()).isPositive();
        double expected = loss("--model", MODEL, "--quantize", "nf4");
        assertThat(loss("--model", out)).isEqualTo(expected);
        assertThat(loss("--model", out, "--quantize", "nf4")).isEqualTo(expected);
        Path adapter = folder.resolve("adapter");
        Cli tuned = Cli.run(
                "finetune",
                "--model",
                out,
                "--data",
                text,
                "--method",
                "lora",
                "--steps",
                2,
                "--length",
                32,
                "--batch",
                2,
                "--out",
                adapter);
        assertThat(tuned.status()).isZero();
        assertThat(Cli.run("quantize", "--model", out, "--output", folder.resolve("again"))
                        .err())
                .contains("holds NF4 already");
    }

    @Test
    void aRunThatEndedEarlyGoesOnBehindItsWholeBlocks() throws Exception {
        assertThat(sketch("--bits", 3).status()).isZero();
        Path last = out.resolve("model-00003-of-00003.safetensors");
        byte[] whole = Files.readAllBytes(last);
        byte[] index = Files.readAllBytes(out.resolve("model.safetensors.index.json"));
        Files.delete(last);
        Files.delete(out.resolve("model.safetensors.index.json"));
        Files.delete(out.resolve("config.json"));
        assertThat(Cli.run("info", "--model", out).status()).isNotZero();
        Cli refused = sketch("--bits", 3);
        assertThat(refused.err()).contains("already holds a run");
        assertThat(sketch("--bits", 4, "--resume").err()).contains("has --bits 3, not 4");
        Cli resumed = sketch("--bits", 3, "--resume", "--json");
        assertThat(resumed.status()).isZero();
        assertThat(resumed.events("layer")).hasSize(7);
        assertThat(Files.readAllBytes(last)).isEqualTo(whole);
        assertThat(Files.readAllBytes(out.resolve("model.safetensors.index.json")))
                .isEqualTo(index);
    }

    @Test
    void usageErrorsNameTheOption() {
        assertThat(sketch("--bits", 5).err()).contains("--bits must be 2, 3 or 4, got 5");
        assertThat(sketch("--exponent", -1).err()).contains("--exponent");
        assertThat(sketch("--groups", 7).err()).contains("7 does not divide");
        assertThat(Cli.run("quantize", "--model", MODEL, "--output", MODEL).err())
                .contains("--out must not be, or hold, what is read");
    }
}
