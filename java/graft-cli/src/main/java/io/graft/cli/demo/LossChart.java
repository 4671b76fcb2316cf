package io.graft.cli.demo;

import java.awt.Color;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** The training losses of several runs as one PNG, each curve smoothed by a running mean so that it can be read. */
final class LossChart {
    private static final double SMOOTHING = 0.9;

    private LossChart() {}

    /** Draws; an IOException also says that this Java installation has no working fonts or graphics. */
    static void write(Path png, String title, List<DemoResult> runs) throws IOException {
        System.setProperty("java.awt.headless", "true");
        try {
            draw(png, title, runs);
        } catch (LinkageError | InternalError missing) {
            // why: a headless Java package can lack the font libraries that even off-screen drawing needs
            throw new IOException("this Java cannot draw: " + missing.getMessage(), missing);
        }
    }

    private static void draw(Path png, String title, List<DemoResult> runs) throws IOException {
        XYChart chart = new XYChartBuilder()
                .width(900)
                .height(480)
                .title(title)
                .xAxisTitle("step")
                .yAxisTitle("training loss (nats per token)")
                .theme(Styler.ChartTheme.XChart)
                .build();
        chart.getStyler().setLegendPosition(Styler.LegendPosition.InsideNE).setChartBackgroundColor(Color.WHITE);
        for (DemoResult run : runs) {
            if (run.losses().length > 0) {
                chart.addSeries(run.name(), steps(run.losses().length), smooth(run.losses()))
                        .setMarker(SeriesMarkers.NONE);
            }
        }
        try (OutputStream out = Files.newOutputStream(png)) {
            ChartEncoder.saveChart(chart, out, "png");
        }
    }

    private static double[] steps(int count) {
        double[] steps = new double[count];
        for (int i = 0; i < count; i++) {
            steps[i] = i + 1;
        }
        return steps;
    }

    /** Exponential running mean, corrected for its start so that the first value is the first loss. */
    static double[] smooth(double[] losses) {
        double[] smoothed = new double[losses.length];
        double mean = 0;
        double weight = 0;
        for (int i = 0; i < losses.length; i++) {
            mean = SMOOTHING * mean + (1 - SMOOTHING) * losses[i];
            weight = SMOOTHING * weight + (1 - SMOOTHING);
            smoothed[i] = mean / weight;
        }
        return smoothed;
    }
}
