package io.graft.benchmarks.bench;

import io.graft.benchmarks.measure.Quartiles;
import io.graft.benchmarks.measure.Roofline;
import io.graft.benchmarks.measure.Row;
import io.graft.benchmarks.measure.Trial;
import io.graft.cli.Units;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** The one table of a run: a row for each contender that was timed, and in words why others were not. */
final class RunTable {
    static final List<String> HEADER = List.of(
            "op",
            "shape",
            "contender",
            "ms",
            "quartiles",
            "kernel ms",
            "binding µs",
            "× frozen",
            "× peers",
            "GFLOP/s",
            "GB/s",
            "of roof",
            "tokens/s",
            "peak",
            "retained",
            "Java B");

    private static final String NONE = "-";
    private static final int NAMED = 6;

    private RunTable() {}

    static List<List<String>> rows(Run run) {
        return run.timed().stream().map(row -> row(row, run.roofline())).toList();
    }

    /** Why contenders were not timed, and what is odd about others: a line for each reason, with all that it holds for. */
    static List<String> remarks(Run run) {
        return run.rows().stream()
                .filter(row -> !row.note().isEmpty())
                .collect(Collectors.groupingBy(
                        row -> row.status() + ": " + row.note(),
                        java.util.LinkedHashMap::new,
                        Collectors.mapping(row -> row.stem() + "/" + row.contender(), Collectors.toList())))
                .entrySet()
                .stream()
                .map(reason -> reason.getKey() + shortened(reason.getValue()))
                .toList();
    }

    private static String shortened(List<String> contenders) {
        List<String> different = contenders.stream().distinct().toList();
        String more = different.size() > NAMED ? " and " + (different.size() - NAMED) + " more" : "";
        return different.stream().limit(NAMED).collect(Collectors.joining(", ", " (", more + ")"));
    }

    private static List<String> row(Row row, Roofline roof) {
        Quartiles ms = row.milliseconds();
        return List.of(
                row.stem(),
                row.shape(),
                row.contender(),
                milliseconds(ms.median()),
                quartiles(ms),
                kernel(row),
                binding(row),
                ratio(row, Trial.FROZEN),
                peers(row),
                row.flops() > 0 ? String.format(Locale.ROOT, "%.1f", row.gigaflops()) : NONE,
                row.bytes() > 0 ? String.format(Locale.ROOT, "%.1f", row.gigabytes()) : NONE,
                share(roof.share(row)),
                tokens(row),
                row.peakBytes().isEmpty() ? NONE : Units.bytes(row.peakBytes().get("all")),
                row.retainedBytes() == 0 ? NONE : Units.bytes(row.retainedBytes()),
                Long.toString(row.javaBytes()));
    }

    static String quartiles(Quartiles ms) {
        return milliseconds(ms.lower()) + "–" + milliseconds(ms.upper());
    }

    private static String kernel(Row row) {
        return Double.isNaN(row.kernelMilliseconds().median())
                ? NONE
                : milliseconds(row.kernelMilliseconds().median());
    }

    private static String binding(Row row) {
        return Double.isNaN(row.bindingMicroseconds())
                ? NONE
                : String.format(Locale.ROOT, "%.2f", row.bindingMicroseconds());
    }

    static String tokens(Row row) {
        return row.tokens() > 0 ? String.format(Locale.ROOT, "%.0f", row.tokensPerSecond()) : NONE;
    }

    static String ratio(Row row, String other) {
        Quartiles ratio = row.ratios().get(other);
        return ratio == null ? NONE : ratio(ratio.median());
    }

    static String peers(Row row) {
        String text = row.ratios().entrySet().stream()
                .filter(other -> !other.getKey().equals(Trial.FROZEN))
                .map(other -> ratio(other.getValue().median()) + " " + other.getKey())
                .collect(Collectors.joining(", "));
        return text.isEmpty() ? NONE : text;
    }

    static String milliseconds(double value) {
        return String.format(Locale.ROOT, value < 0.1 ? "%.4f" : value < 10 ? "%.3f" : "%.1f", value);
    }

    private static String ratio(double value) {
        return String.format(Locale.ROOT, "%.2f", value);
    }

    private static String share(double value) {
        return Double.isNaN(value) ? NONE : String.format(Locale.ROOT, "%.0f %%", 100 * value);
    }
}
