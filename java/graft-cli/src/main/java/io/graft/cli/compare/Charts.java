package io.graft.cli.compare;

import java.awt.Color;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.imageio.ImageIO;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.internal.chartpart.Chart;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Pictures as PNG files. A LinkageError says that this Java installation cannot draw. */
public final class Charts {
    private static final double SMOOTHING = 0.9;
    private static final double MEBIBYTE = 1 << 20;

    /** why: names of more bars only fit side by side when they stand upright. */
    private static final int MANY = 12;

    static {
        System.setProperty("java.awt.headless", "true");
        // why: its cache on disk registers a shutdown hook, which fails after Ctrl-C, when there is a report to write.
        ImageIO.setUseCache(false);
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
        Map<String, List<Double>> parts = new LinkedHashMap<>();
        parts.put("frozen weights", mebibytes(runs, Result.Bytes::base));
        parts.put("trained, gradients, optimiser", mebibytes(runs, Result.Bytes::training));
        parts.put("activations", mebibytes(runs, Result.Bytes::activations));
        bars(png, "Memory of a training run", "MiB", names(runs), parts, true);
    }

    /** Time of a step, one bar for each run. */
    static void time(Path png, List<Result> runs) throws IOException {
        List<Double> times = runs.stream().map(Result::milliseconds).toList();
        bars(png, "Time of a training step (median)", "ms", names(runs), Map.of("ms per step", times), false);
    }

    /**
     * Bars over names, for each series one, beside each other or stacked; a null has no bar. A legend where there are
     * several series.
     */
    public static void bars(
            Path png, String title, String unit, List<String> names, Map<String, List<Double>> series, boolean stacked)
            throws IOException {
        boolean many = names.size() > MANY;
        int bars = stacked ? 1 : series.size();
        CategoryChart chart = new CategoryChartBuilder()
                .width(Math.max(600, (many ? 20 + 20 * bars : 70 + 40 * bars) * names.size()))
                .height(many ? 560 : 420)
                .title(title)
                .yAxisTitle(unit)
                .theme(Styler.ChartTheme.XChart)
                .build();
        chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideS);
        chart.getStyler().setAvailableSpaceFill(0.6).setXAxisLabelRotation(many ? 90 : 30);
        chart.getStyler().setLegendVisible(series.size() > 1);
        if (many) {
            chart.getStyler().setXAxisMaxLabelCount(names.size());
        }
        chart.getStyler().setStacked(stacked);
        series.forEach((name, values) -> chart.addSeries(name, names, values));
        save(chart, png);
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
