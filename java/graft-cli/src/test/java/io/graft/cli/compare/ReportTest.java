package io.graft.cli.compare;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ReportTest {
    @TempDir
    Path folder;

    @Test
    void reportStandsAlone() throws Exception {
        double[] losses = {9, 7, 6, 5.5};
        Result run =
                new Result("lora", 10, 4, 1, 2, new Result.Bytes(1 << 20, 2 << 20, 3 << 20, 7 << 20), 9, 5, losses);
        Path png = folder.resolve("losses.png");
        Charts.losses(png, "losses", List.of(run));
        Path memory = folder.resolve("memory.png");
        Charts.memory(memory, List.of(run));
        Path time = folder.resolve("time.png");
        Charts.time(time, List.of(run));
        for (Path bars : List.of(memory, time)) {
            assertThat(Files.readAllBytes(bars)).startsWith(0x89, 'P', 'N', 'G');
        }
        Path html = folder.resolve("report.html");
        HtmlReport.write(
                html,
                "a title",
                Map.of("machine", "a <b>"),
                "Some heading",
                List.of("method"),
                List.of(List.of("lora")),
                List.of(png, folder.resolve("absent.png")),
                Map.of("sample", "if (a < b && c)"));
        assertThat(Files.readAllBytes(png)).startsWith(0x89, 'P', 'N', 'G');
        assertThat(Files.readString(html))
                .contains(
                        "data:image/png;base64,",
                        "<td>lora</td>",
                        "a &lt;b&gt;",
                        "<h2>Some heading</h2>",
                        "if (a &lt; b &amp;&amp; c)")
                .doesNotContain("src=\"http");
    }

    /** One bar, and more than names fit beside each other. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 70})
    void anyNumberOfBarsIsDrawn(int count) throws Exception {
        List<String> names =
                IntStream.range(0, count).mapToObj(Integer::toString).toList();
        List<Double> values = names.stream().map(Double::valueOf).toList();
        Path png = folder.resolve("bars.png");
        Charts.bars(png, "bars", "ms", names, Map.of("a", values, "b", values), false);
        assertThat(ImageIO.read(png.toFile()).getWidth()).isBetween(600, 5000);
    }

    @Test
    void smoothingStartsAtTheFirstLossAndFollows() {
        assertThat(Charts.smooth(new double[] {4, 4, 4})).containsExactly(4, 4, 4);
        assertThat(Charts.smooth(new double[] {4, 2})[1]).isBetween(2.0, 4.0);
    }

    @Test
    void median() {
        assertThat(Result.median(List.of(3.0, 1.0, 2.0))).isEqualTo(2.0);
        assertThat(Result.median(List.of(1.0, 2.0))).isEqualTo(1.5);
        assertThat(Result.median(List.of())).isNaN();
    }
}
