package io.graft.benchmarks.bench;

import io.graft.benchmarks.measure.Quartiles;
import io.graft.benchmarks.measure.Row;
import io.graft.benchmarks.measure.Trial;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What changed between two runs. A method of a layer is judged by its ratio to the frozen layer of the same round, which a
 * machine of another speed leaves as it is; all else by its time, and only where both runs come from one machine.
 */
record RunComparison(List<Change> changes, List<String> onlyBefore, List<String> onlyAfter, int incomparable) {
    static final List<String> HEADER =
            List.of("op", "shape", "contender", "measure", "before", "after", "change", "noise", "verdict");

    /** Whether a difference is one. */
    enum Verdict {
        SLOWER,
        FASTER,
        /** More than the threshold apart, yet the middle halves of the two distributions overlap. */
        NOISE,
        SAME
    }

    /**
     * A row that both runs have.
     *
     * @param measure {@code ms} or {@code × frozen}
     * @param change after over before, less 1
     * @param noise half the distance of the quartiles over the median, the larger of the two runs
     */
    record Change(Row row, String measure, double before, double after, double change, double noise, Verdict verdict) {
        List<String> cells() {
            return List.of(
                    row.stem(),
                    row.shape(),
                    row.contender(),
                    measure,
                    number(before),
                    number(after),
                    String.format(Locale.ROOT, "%+.1f %%", 100 * change),
                    String.format(Locale.ROOT, "±%.1f %%", 100 * noise),
                    verdict.name().toLowerCase(Locale.ROOT));
        }

        private String number(double value) {
            return measure.equals("ms") ? RunTable.milliseconds(value) : String.format(Locale.ROOT, "%.3f", value);
        }
    }

    /** @param threshold share by which something has to change to count, 0.1 for a tenth */
    static RunComparison of(Run before, Run after, double threshold) {
        boolean sameMachine = before.machine().equals(after.machine()) && before.threads() == after.threads();
        Map<String, Row> old = timed(before);
        Map<String, Row> young = timed(after);
        List<Change> changes = new ArrayList<>();
        List<String> onlyAfter = new ArrayList<>();
        int incomparable = 0;
        for (Map.Entry<String, Row> entry : young.entrySet()) {
            Row was = old.remove(entry.getKey());
            Row is = entry.getValue();
            if (was == null) {
                onlyAfter.add(entry.getKey());
            } else if (was.ratios().containsKey(Trial.FROZEN) && is.ratios().containsKey(Trial.FROZEN)) {
                Quartiles first = was.ratios().get(Trial.FROZEN);
                changes.add(change(is, "× frozen", first, is.ratios().get(Trial.FROZEN), threshold));
            } else if (sameMachine) {
                changes.add(change(is, "ms", was.milliseconds(), is.milliseconds(), threshold));
            } else {
                incomparable++;
            }
        }
        return new RunComparison(changes, List.copyOf(old.keySet()), onlyAfter, incomparable);
    }

    private static Map<String, Row> timed(Run run) {
        Map<String, Row> rows = new LinkedHashMap<>();
        // why: the machine's own speed is measured twice, and its change is not Graft's.
        run.timed().stream()
                .filter(row -> !row.stem().equals(io.graft.benchmarks.measure.Roofline.STEM))
                .forEach(row -> rows.putIfAbsent(row.key(), row));
        return rows;
    }

    private static Change change(Row row, String measure, Quartiles before, Quartiles after, double threshold) {
        double change = after.median() / before.median() - 1;
        Verdict verdict = Verdict.SAME;
        if (Math.abs(change) > threshold) {
            boolean apart = change > 0 ? after.lower() > before.upper() : after.upper() < before.lower();
            verdict = !apart ? Verdict.NOISE : change > 0 ? Verdict.SLOWER : Verdict.FASTER;
        }
        return new Change(
                row, measure, before.median(), after.median(), change, Math.max(noise(before), noise(after)), verdict);
    }

    private static double noise(Quartiles values) {
        return (values.upper() - values.lower()) / 2 / values.median();
    }

    boolean slower() {
        return changes.stream().anyMatch(change -> change.verdict() == Verdict.SLOWER);
    }

    long count(Verdict verdict) {
        return changes.stream().filter(change -> change.verdict() == verdict).count();
    }
}
