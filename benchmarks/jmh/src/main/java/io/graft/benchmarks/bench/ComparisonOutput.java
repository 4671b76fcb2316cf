package io.graft.benchmarks.bench;

import io.graft.benchmarks.bench.RunComparison.Change;
import io.graft.benchmarks.bench.RunComparison.Verdict;
import io.graft.cli.Output;
import io.graft.cli.TextTable;
import java.util.List;
import java.util.Locale;

/** Says what changed from one run to another. */
final class ComparisonOutput {
    private ComparisonOutput() {}

    static void write(Output out, Run before, Run after, RunComparison comparison) {
        out.say("before: %s", describe(before));
        out.say("after:  %s", describe(after));
        TextTable table = new TextTable(RunComparison.HEADER);
        List<Change> shown = comparison.changes().stream()
                .filter(change -> change.verdict() != Verdict.SAME)
                .toList();
        shown.forEach(change -> table.add(change.cells()));
        if (!shown.isEmpty()) {
            out.say("");
            out.say("%s", table);
        }
        comparison.changes().forEach(change -> event(out, change));
        out.say(
                "%d slower, %d faster, %d within the noise, %d the same",
                comparison.count(Verdict.SLOWER),
                comparison.count(Verdict.FASTER),
                comparison.count(Verdict.NOISE),
                comparison.count(Verdict.SAME));
        if (comparison.incomparable() > 0) {
            out.say(
                    "%d times are not compared: the runs are of two machines or numbers of threads",
                    comparison.incomparable());
        }
        missing(out, "before", comparison.onlyBefore());
        missing(out, "after", comparison.onlyAfter());
    }

    private static void missing(Output out, String when, List<String> rows) {
        if (!rows.isEmpty()) {
            out.say("only %s: %s", when, String.join("; ", rows));
        }
        rows.forEach(row -> out.event("only", "when", when, "row", row));
    }

    private static String describe(Run run) {
        return run.commit() + ", " + run.processor() + ", " + run.threads() + " threads, " + run.command();
    }

    private static void event(Output out, Change change) {
        out.event(
                "change",
                "op",
                change.row().stem(),
                "parameters",
                change.row().parameters(),
                "contender",
                change.row().contender(),
                "measure",
                change.measure(),
                "before",
                change.before(),
                "after",
                change.after(),
                "change",
                change.change(),
                "noise",
                change.noise(),
                "verdict",
                change.verdict().name().toLowerCase(Locale.ROOT));
    }
}
