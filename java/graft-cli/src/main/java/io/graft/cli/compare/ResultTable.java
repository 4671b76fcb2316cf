package io.graft.cli.compare;

import io.graft.cli.Units;
import java.util.List;
import java.util.Locale;

/** The one table of a comparison: a row for each run. */
final class ResultTable {
    static final List<String> HEADER = List.of(
            "method",
            "trained parameters",
            "base",
            "training",
            "activations",
            "peak memory",
            "steps",
            "ms/step",
            "tokens/s",
            "loss before",
            "loss after");

    private ResultTable() {}

    static List<List<String>> rows(List<Result> results) {
        return results.stream().map(ResultTable::row).toList();
    }

    private static List<String> row(Result result) {
        Result.Bytes bytes = result.bytes();
        return List.of(
                result.name(),
                Units.count(result.trainedParameters()),
                Units.bytes(bytes.base()),
                Units.bytes(bytes.training()),
                Units.bytes(bytes.activations()),
                Units.bytes(bytes.peak()),
                Integer.toString(result.steps()),
                String.format(Locale.ROOT, "%.1f", result.milliseconds()),
                String.format(Locale.ROOT, "%,.0f", result.tokensPerSecond()),
                String.format(Locale.ROOT, "%.3f", result.before()),
                String.format(Locale.ROOT, "%.3f", result.after()));
    }
}
