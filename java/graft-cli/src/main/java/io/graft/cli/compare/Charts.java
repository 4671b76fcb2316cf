package io.graft.cli.compare;

import java.awt.Color;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.internal.chartpart.Chart;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** The pictures of a comparison as PNG files. A LinkageError says that this Java installation cannot draw. */
final class Charts {
    private static final double SMOOTHING = 0.9;
    private static final double MEBIBYTE = 1 << 20;

    static {
        System.setProperty("java.awt.headless", "true");
    }

    private Charts() {}

    /** Training losses, each curve smoothed by a running mean so that it can be read. */
    static void losses(Path png, String title, List<Result> runs) throws IOException {
        XYChart chart = new XYChartBuilder()
                .width(900)
                .height(480)
                .title(title)
                .xAxisTitle("step")
                .yAxisTitle("training loss (nats per token)")
                .theme(Styler.ChartTheme.XChart)
                .build();
        chart.getStyler().setLegendPosition(Styler.LegendPosition.InsideNE);
        for (Result run : runs) {
            if (run.losses().length > 0) {
                chart.addSeries(run.name(), steps(run.losses().length), smooth(run.losses()))
                        .setMarker(SeriesMarkers.NONE);
            }
        }
        save(chart, png);
    }

    /** Memory by what it is for, one bar for each run. */
    static void memory(Path png, List<Result> runs) throws IOException {
        CategoryChart chart = bars("Memory of a training run", "MiB", runs.size());
        chart.getStyler().setStacked(true);
        List<String> names = names(runs);
        chart.addSeries("frozen weights", names, mebibytes(runs, bytes -> bytes.base()));
        chart.addSeries("trained, gradients, optimiser", names, mebibytes(runs, bytes -> bytes.training()));
        chart.addSeries("activations", names, mebibytes(runs, bytes -> bytes.activations()));
        save(chart, png);
    }

    /** Time of a step, one bar for each run. */
    static void time(Path png, List<Result> runs) throws IOException {
        CategoryChart chart = bars("Time of a training step (median)", "ms", runs.size());
        chart.getStyler().setLegendVisible(false);
        chart.addSeries(
                "ms per step",
                names(runs),
                runs.stream().map(Result::milliseconds).toList());
        save(chart, png);
    }

    private static CategoryChart bars(String title, String unit, int count) {
        CategoryChart chart = new CategoryChartBuilder()
                .width(Math.max(600, 110 * count))
                .height(420)
                .title(title)
                .yAxisTitle(unit)
                .theme(Styler.ChartTheme.XChart)
                .build();
        chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideS);
        chart.getStyler().setAvailableSpaceFill(0.6).setXAxisLabelRotation(30);
        return chart;
    }

    private static List<String> names(List<Result> runs) {
        return runs.stream().map(Result::name).toList();
    }

    private static List<Double> mebibytes(List<Result> runs, java.util.function.ToLongFunction<Result.Bytes> which) {
        return runs.stream()
                .map(run -> which.applyAsLong(run.bytes()) / MEBIBYTE)
                .toList();
    }

    private static void save(Chart<?, ?> chart, Path png) throws IOException {
        chart.getStyler().setChartBackgroundColor(Color.WHITE);
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
