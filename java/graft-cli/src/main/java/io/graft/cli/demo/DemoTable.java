package io.graft.cli.demo;

import io.graft.cli.TextTable;
import io.graft.cli.Units;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The demo's one table: a row for each method, and a first one for the base model. */
final class DemoTable {
    private static final List<String> HEADER = List.of(
            "method", "trained parameters", "steps", "ms/step", "tokens/s", "peak memory", "loss before", "loss after");

    private final List<List<String>> rows = new ArrayList<>();

    DemoTable(DemoResult base, List<DemoResult> results) {
        rows.add(row(base));
        results.forEach(result -> rows.add(row(result)));
    }

    List<String> header() {
        return HEADER;
    }

    List<List<String>> rows() {
        return rows;
    }

    String text() {
        TextTable table = new TextTable(HEADER);
        rows.forEach(table::add);
        return table.toString();
    }

    private static List<String> row(DemoResult result) {
        return List.of(
                result.name(),
                Units.count(result.trainedParameters()),
                Integer.toString(result.steps()),
                String.format(Locale.ROOT, "%.1f", result.milliseconds()),
                String.format(Locale.ROOT, "%,.0f", result.tokensPerSecond()),
                Units.bytes(result.peakBytes()),
                String.format(Locale.ROOT, "%.3f", result.before()),
                String.format(Locale.ROOT, "%.3f", result.after()));
    }
}
