package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

/** Training on documents that are rows of their own. */
class DocumentsTest extends FinetuneRuns {
    private Path rows(String name, int count) throws Exception {
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < count; i++) {
            lines.append("{\"prompt\": \"assertEquals(%d, \", \"completion\": \"list.get(%d));%s\"}\n"
                    .formatted(i, i, " x".repeat(i % 3 == 0 ? 30 : i)));
        }
        lines.append("{\"prompt\": \"%s\", \"completion\": \"never\"}\n".formatted("int a; ".repeat(40)));
        return Files.writeString(folder.resolve(name), lines);
    }

    /** The loss of all rows is the mean over their tokens, however they are batched and padded. */
    @Test
    void paddingChangesNoLoss() throws Exception {
        Path data = rows("rows.jsonl", 7);
        double one = loss(data, 1);
        assertThat(loss(data, 3)).isCloseTo(one, Offset.offset(1e-5));
        assertThat(loss(data, 8)).isCloseTo(one, Offset.offset(1e-5));
        assertThat(loss(data, 2, "--too-long", "drop")).isNotCloseTo(one, Offset.offset(1e-3));
    }

    /** Nor do rows that several documents share, of which there are fewer. */
    @Test
    void packingChangesNoLoss() throws Exception {
        Path data = rows("rows.jsonl", 7);
        assertThat(loss(data, 2, "--pack")).isCloseTo(loss(data, 2), Offset.offset(1e-5));
    }

    @Test
    void aPackedRunKeepsItsRows() throws Exception {
        text = rows("rows.jsonl", 9);
        Path whole = folder.resolve("whole");
        Object[] packed = {"--pack", "--steps", 6};
        Cli run = finetune(whole, with(packed, "--json"));
        assertThat(run.status()).isZero();
        assertThat(run.events("start").get(0).get("blocks").asInt())
                .as("rows of ten documents")
                .isLessThan(10);
        Path parts = folder.resolve("parts");
        assertThat(finetune(parts, with(packed, "--save-every", 2)).status()).isZero();
        assertThat(Files.mismatch(adapter(whole), adapter(parts))).isEqualTo(-1);
        assertThat(finetune(parts, "--rows", "documents", "--steps", 6, "--resume")
                        .err())
                .contains("--pack true, not false");
        assertThat(finetune(folder.resolve("no"), "--pack", "--rows", "stream", "--steps", 1)
                        .err())
                .contains("--pack joins documents");
    }

    private double loss(Path data, int batch, Object... more) {
        boolean dropped = Arrays.asList(more).contains("drop");
        Cli run = Cli.run(with(
                new Object[] {
                    "eval",
                    "--model",
                    MODEL,
                    "--data",
                    data,
                    "--rows",
                    "documents",
                    "--length",
                    40,
                    "--batch",
                    batch,
                    "--json"
                },
                more));
        assertThat(run.err()).isEmpty();
        assertThat(run.events("data").get(0).get("left_out").asInt()).isEqualTo(dropped ? 4 : 1);
        assertThat(run.events("data").get(0).get("cut").asInt()).isEqualTo(dropped ? 0 : 3);
        return run.events("eval").get(0).get("loss").asDouble();
    }

    /** Checkpoints on the way change nothing, and a resume with other rows would be another run. */
    @Test
    void aRunResumesWithItsRows() throws Exception {
        text = rows("rows.jsonl", 9);
        Path whole = folder.resolve("whole");
        Object[] documents = {"--rows", "documents", "--steps", 8};
        assertThat(finetune(whole, documents).status()).isZero();
        Path parts = folder.resolve("parts");
        assertThat(finetune(parts, with(documents, "--save-every", 3)).status()).isZero();
        assertThat(Files.mismatch(adapter(whole), adapter(parts))).isEqualTo(-1);
        assertThat(finetune(parts, "--steps", 8, "--resume").err()).contains("--rows DOCUMENTS, not STREAM");
        assertThat(after(trained(folder.resolve("learnt"), "--rows", "documents", "--steps", 40)))
                .isLessThan(2.5);
    }

    @Test
    void nothingToLearnIsSaid() throws Exception {
        text = rows("rows.jsonl", 0);
        assertThat(finetune(folder.resolve("out"), "--rows", "documents", "--steps", 1)
                        .err())
                .contains("has no document with anything to learn in its first 32 tokens");
    }
}
