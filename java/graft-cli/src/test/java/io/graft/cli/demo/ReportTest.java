package io.graft.cli.demo;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReportTest {
    @TempDir
    Path folder;

    @Test
    void reportStandsAlone() throws Exception {
        double[] losses = {9, 7, 6, 5.5};
        DemoResult run = new DemoResult("lora", 10, 4, 1, 2, 3, 9, 5, losses);
        Path png = folder.resolve("losses.png");
        LossChart.write(png, "losses", List.of(run));
        Path html = folder.resolve("report.html");
        HtmlReport.write(
                html,
                Map.of("machine", "a <b>"),
                List.of("method"),
                List.of(List.of("lora")),
                List.of(png, folder.resolve("absent.png")),
                Map.of("sample", "if (a < b && c)"));
        assertThat(Files.readAllBytes(png)).startsWith(0x89, 'P', 'N', 'G');
        assertThat(Files.readString(html))
                .contains("data:image/png;base64,", "<td>lora</td>", "a &lt;b&gt;", "if (a &lt; b &amp;&amp; c)")
                .doesNotContain("src=\"http");
    }

    @Test
    void smoothingStartsAtTheFirstLossAndFollows() {
        assertThat(LossChart.smooth(new double[] {4, 4, 4})).containsExactly(4, 4, 4);
        assertThat(LossChart.smooth(new double[] {4, 2})[1]).isBetween(2.0, 4.0);
    }

    @Test
    void median() {
        assertThat(DemoResult.median(List.of(3.0, 1.0, 2.0))).isEqualTo(2.0);
        assertThat(DemoResult.median(List.of(1.0, 2.0))).isEqualTo(1.5);
        assertThat(DemoResult.median(List.of())).isNaN();
    }
}
