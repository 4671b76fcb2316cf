package io.graft.benchmarks.bench;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.benchmarks.bench.BenchCommandTest.Outcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What README.md shows is what the kept results file that it names holds. */
class ReadmeTableTest {
    private static final String AROUND = "# Words\n\n<!-- bench:begin -->\n<!-- bench:end -->\nmore words\n";

    @TempDir
    Path folder;

    private Path kept() throws IOException {
        Files.writeString(folder.resolve("README.md"), AROUND);
        return RunComparisonTest.run(
                        "EPYC",
                        RunComparisonTest.row("lora", "lora", 1.25, 0.02, 1.03),
                        RunComparisonTest.row("gelu", "gelu", 1, 0.02, null))
                .keep(folder.resolve("benchmarks/results"));
    }

    private Outcome show(Path file) {
        System.setProperty("graft.root", folder.toString());
        try {
            return BenchCommandTest.bench("--readme", file);
        } finally {
            System.clearProperty("graft.root");
        }
    }

    @Test
    void theReadmeOfThisTreeAgreesWithItsFile() throws IOException {
        assertThat(ReadmeTable.agrees(Path.of("..", "..")))
                .as("README.md differs from the results file that it names: graft bench --readme FILE makes it anew")
                .isTrue();
    }

    @Test
    void theTableComesFromTheFileAndNothingElseChanges() throws IOException {
        Path file = kept();
        assertThat(ReadmeTable.agrees(folder)).isTrue();
        Outcome shown = show(file);
        assertThat(shown.status()).as(shown.err()).isZero();
        String readme = Files.readString(folder.resolve("README.md"));
        assertThat(readme)
                .startsWith("# Words\n\n<!-- bench:begin benchmarks/results/")
                .endsWith("<!-- bench:end -->\nmore words\n")
                .contains("| lora | tiny | lora | 1.250 | 1.225–1.275 | 1.03 | - | - | 1.0 MiB |")
                .doesNotContain("| gelu |");
        assertThat(ReadmeTable.agrees(folder)).isTrue();
        Files.writeString(folder.resolve("README.md"), readme.replace("1.250", "0.250"));
        assertThat(ReadmeTable.agrees(folder)).isFalse();
        assertThat(show(file).status()).isZero();
        assertThat(folder.resolve("README.md")).hasContent(readme);
    }

    @Test
    void whatCannotBeShownIsRefused() throws IOException {
        Path file = kept();
        Path elsewhere = Files.copy(file, folder.resolve("elsewhere.json"));
        assertThat(show(elsewhere).err()).contains("--readme takes a file that is kept below");
        Files.writeString(folder.resolve("README.md"), "# Words\n");
        assertThat(show(file).err()).contains("has no lines <!-- bench:begin -->");
        assertThat(folder.resolve("README.md")).hasContent("# Words\n");
    }
}
