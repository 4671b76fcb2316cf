package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.tensor.Context;
import io.graft.tensor.Weight;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Small comparisons. */
class CompareTest {
    @TempDir
    Path folder;

    private Path text;

    @BeforeEach
    void writeText() throws Exception {
        text = Files.writeString(folder.resolve("text.txt"), "assertTrue(list.isEmpty());\n".repeat(80));
    }

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    private Cli compare(Object... more) {
        Object[] all = new Object[more.length + 14];
        Object[] first = {
            "compare",
            "--model",
            Cli.model("llama_tied"),
            "--data",
            text,
            "--length",
            32,
            "--batch",
            2,
            "--threads",
            1,
            "--out",
            folder.resolve("out"),
            "--json"
        };
        System.arraycopy(first, 0, all, 0, first.length);
        System.arraycopy(more, 0, all, first.length, more.length);
        return Cli.run(all);
    }

    @Test
    void everyMethodStartsAtTheSameModelAndLearns() {
        Cli run = compare("--steps", 25);
        assertThat(run.err()).isEmpty();
        assertThat(run.status()).isZero();
        List<JsonNode> results = run.events("result");
        assertThat(results).hasSameSizeAs(Method.all(Weight.Kind.DENSE, Quantization.NONE));
        for (JsonNode result : results) {
            String title = result.get("title").asText();
            assertThat(result.get("steps").asInt()).as(title).isEqualTo(25);
            assertThat(result.get("validation_loss_after").asDouble())
                    .as(title)
                    .isLessThan(result.get("validation_loss_before").asDouble());
            assertThat(result.get("base_bytes").asLong()).as(title).isPositive();
            assertThat(result.get("activation_bytes").asLong()).as(title).isPositive();
            assertThat(result.get("peak_memory_bytes").asLong())
                    .as(title)
                    .isGreaterThanOrEqualTo(result.get("base_bytes").asLong());
        }
        assertThat(folder.resolve("out")).isDirectoryContaining("glob:**report.html");
        assertThat(folder.resolve("out").resolve("report.html")).content().contains("LoRA", "tokens/s");
    }

    @Test
    void turnsChangeNothing() {
        double alone = result(compare("--steps", 12, "--methods", "lora")).asDouble();
        double inTurns =
                result(compare("--steps", 12, "--methods", "lora,full")).asDouble();
        assertThat(inTurns).isEqualTo(alone);
    }

    private static JsonNode result(Cli run) {
        assertThat(run.err()).isEmpty();
        return run.events("result").get(0).get("validation_loss_after");
    }

    @Test
    void aBaseOfCodesServesTheMethodsThatNeedNoMatrix() {
        Cli run = compare("--steps", 2, "--methods", "lora,bitfit", "--quantize", "nf4");
        assertThat(run.err()).isEmpty();
        assertThat(run.events("result")).hasSize(2);
        assertThat(run.events("result").get(0).toString()).doesNotContain("null");
        assertThat(compare("--steps", 2, "--methods", "dora", "--quantize", "nf4")
                        .err())
                .contains("needs a dense base");
    }

    @Test
    void whereTheReportCannotGoIsSaidBeforeTheTraining() throws Exception {
        Path out = Files.writeString(folder.resolve("out"), "mine");
        Cli run = compare("--steps", 1, "--methods", "lora");
        assertThat(run.status()).isEqualTo(1);
        assertThat(run.err()).contains("--out is not a directory: " + out);
        assertThat(run.out()).isEmpty();
        assertThat(out).hasContent("mine");
    }

    @Test
    void theTableComesAlsoWhereTheReportCannotBeWritten() throws Exception {
        Path report = Files.createDirectories(folder.resolve("out").resolve("report.html"));
        Cli run = compare("--steps", 1, "--methods", "lora");
        assertThat(run.status()).isEqualTo(1);
        assertThat(run.err()).contains("cannot write " + report);
        assertThat(run.events("result")).hasSize(1);
    }

    @Test
    void whatIsMissingIsSaid() throws Exception {
        assertThat(compare("--methods", "lora,fancy").err()).contains("--methods: unknown method 'fancy'");
        Files.writeString(text, "assertTrue(list.isEmpty());\n".repeat(2));
        Cli run = compare("--steps", 1);
        assertThat(run.status()).isEqualTo(1);
        assertThat(run.err()).containsAnyOf("too little to keep some", "a block needs");
    }
}
