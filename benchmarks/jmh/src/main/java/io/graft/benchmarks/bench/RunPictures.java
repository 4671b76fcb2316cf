package io.graft.benchmarks.bench;

import io.graft.benchmarks.measure.Roofline;
import io.graft.benchmarks.measure.Row;
import io.graft.benchmarks.measure.Trial;
import io.graft.cli.compare.Charts;
import io.graft.cli.compare.Report;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Predicate;

/** The pictures of a run: of each contender its first shape. */
final class RunPictures {
    private static final double MEBIBYTE = 1 << 20;
    private static final String LIBTORCH = "libtorch ";

    private RunPictures() {}

    static void add(Report report, Run run) {
        List<Row> methods = first(run, row -> own(row) && row.ratios().containsKey(Trial.FROZEN));
        if (!methods.isEmpty()) {
            report.picture(
                    "frozen.png",
                    png -> Charts.bars(
                            png,
                            "Time over that of the frozen layer, less is better",
                            "× frozen",
                            names(methods),
                            overFrozen(run, methods),
                            false));
            report.picture(
                    "memory.png",
                    png -> Charts.bars(png, "Most memory of a call", "MiB", names(methods), memory(methods), true));
        }
        List<Row> peers =
                first(run, row -> own(row) && row.ratios().keySet().stream().anyMatch(peer()));
        if (!peers.isEmpty()) {
            report.picture(
                    "peers.png",
                    png -> Charts.bars(
                            png,
                            "Time over that of the fastest peer, below 1 Graft is faster",
                            "× peer",
                            names(peers),
                            Map.of("× peer", values(peers, RunPictures::overPeers)),
                            false));
        }
        List<Row> all = first(
                run,
                row -> own(row)
                        && !Double.isNaN(run.roofline().share(row))
                        && !row.stem().equals(Roofline.STEM)
                        && (!row.contender().equals(Trial.FROZEN) || row.stem().equals("linear")));
        if (!all.isEmpty()) {
            report.picture(
                    "roof.png",
                    png -> Charts.bars(
                            png,
                            "Share of the roof: of the GEMM rate or the copy rate, whichever limits",
                            "%",
                            names(all),
                            Map.of("%", values(all, row -> 100 * run.roofline().share(row))),
                            false));
        }
    }

    private static Predicate<String> peer() {
        return name -> !name.equals(Trial.FROZEN);
    }

    private static boolean own(Row row) {
        return row.isTimed() && row.equalTo().isEmpty();
    }

    /** One row for each op and contender, the first. */
    private static List<Row> first(Run run, Predicate<Row> which) {
        Map<String, Row> rows = new LinkedHashMap<>();
        run.rows().stream().filter(which).forEach(row -> rows.putIfAbsent(name(row), row));
        return new ArrayList<>(rows.values());
    }

    private static String name(Row row) {
        return row.contender().equals(row.stem()) ? row.stem() : row.stem() + ": " + row.contender();
    }

    private static List<String> names(List<Row> rows) {
        return rows.stream().map(RunPictures::name).toList();
    }

    private static List<Double> values(List<Row> rows, Function<Row, Double> value) {
        List<Double> values = new ArrayList<>();
        rows.forEach(row -> values.add(value.apply(row)));
        return values;
    }

    private static Double overPeers(Row row) {
        return row.ratios().entrySet().stream()
                .filter(other -> peer().test(other.getKey()))
                .mapToDouble(other -> other.getValue().median())
                .max()
                .orElse(Double.NaN);
    }

    private static Map<String, List<Double>> overFrozen(Run run, List<Row> methods) {
        Map<String, List<Double>> series = new LinkedHashMap<>();
        series.put(
                "Graft", values(methods, row -> row.ratios().get(Trial.FROZEN).median()));
        List<Double> theirs = values(
                methods,
                row -> run.rows().stream()
                        .filter(other -> other.isTimed()
                                && other.stem().equals(row.stem())
                                && other.parameters().equals(row.parameters())
                                && other.contender().equals(LIBTORCH + row.contender()))
                        .map(other -> other.ratios().get(Trial.FROZEN).median())
                        .findFirst()
                        .orElse(null));
        if (theirs.stream().anyMatch(java.util.Objects::nonNull)) {
            series.put("LibTorch, over Graft's frozen layer", theirs);
        }
        return series;
    }

    private static Map<String, List<Double>> memory(List<Row> methods) {
        Map<String, List<Double>> series = new LinkedHashMap<>();
        for (String category : methods.get(0).peakBytes().keySet()) {
            if (!category.equals("all")) {
                series.put(category, values(methods, row -> row.peakBytes().get(category) / MEBIBYTE));
            }
        }
        return series;
    }
}
