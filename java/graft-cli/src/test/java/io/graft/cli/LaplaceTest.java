package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code laplace}, and {@code eval --draws} with what it made. */
class LaplaceTest {
    private static final Path MODEL = Cli.model("llama_tied");

    @TempDir
    Path folder;

    @Test
    void evaluationPredictsByDraws() throws Exception {
        Path text = Files.writeString(folder.resolve("text.txt"), "assertEquals(1, list.get(1));\n".repeat(20));
        Path other = Files.writeString(folder.resolve("other.txt"), "assertEquals(7, array[7], 0);\n".repeat(20));
        Path out = folder.resolve("out");
        Object[] common = {"--model", MODEL, "--length", 32, "--batch", 2, "--threads", 1, "--json"};
        Cli trained = run(common, "finetune", "--data", text, "--out", out, "--steps", 60, "--lr", 5e-3);
        assertThat(trained.status()).as(trained.err()).isZero();
        Cli early = run(common, "eval", "--data", other, "--adapter", out, "--draws", 4);
        assertThat(early.status()).isEqualTo(1);
        assertThat(early.err()).contains("has no posterior; `graft laplace` makes one");

        Cli laplace = run(common, "laplace", "--data", text, "--adapter", out);
        assertThat(laplace.err()).isEmpty();
        assertThat(laplace.events("posterior").get(0).get("prior_precision").asDouble())
                .isPositive();
        Cli eval = run(common, "eval", "--data", other, "--adapter", out, "--draws", 8);
        assertThat(eval.err()).isEmpty();
        List<JsonNode> results = eval.events("predictive");
        assertThat(results).hasSize(2);
        double loss = eval.events("eval").get(0).get("loss").asDouble();
        assertThat(results.get(0).get("loss").asDouble()).isCloseTo(loss, Offset.offset(1e-3));
        for (JsonNode result : results) {
            assertThat(result.get("accuracy").asDouble()).isBetween(0.0, 1.0);
            assertThat(result.get("calibration_error").asDouble()).isBetween(0.0, 1.0);
        }
        assertThat(results.get(1).get("loss").asDouble())
                .isFinite()
                .isNotEqualTo(results.get(0).get("loss").asDouble());
        // The draws have numbers: another evaluation makes the same ones.
        assertThat(run(common, "eval", "--data", other, "--adapter", out, "--draws", 8)
                        .events("predictive"))
                .isEqualTo(results);
    }

    private static Cli run(Object[] common, String command, Object... more) {
        List<Object> all = new ArrayList<>(List.of(command));
        all.addAll(List.of(common));
        all.addAll(List.of(more));
        return Cli.run(all.toArray());
    }
}
