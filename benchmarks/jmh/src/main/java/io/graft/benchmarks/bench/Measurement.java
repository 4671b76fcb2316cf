package io.graft.benchmarks.bench;

import io.graft.benchmarks.measure.Roofline;
import io.graft.benchmarks.measure.Row;
import io.graft.benchmarks.measure.TrialProgress;
import io.graft.cli.Interruption;
import io.graft.cli.Output;
import io.graft.cli.Progress;
import io.graft.cli.Units;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * The cells of a run, one after the other: the machine's own speed, by which is said how long the others will take, and then
 * those that fit into memory. What is measured is in the file after each of them: nothing is lost.
 */
final class Measurement {
    private final Output out;
    private final CellRunner runner;
    private final Path file;
    private final List<Row> rows = new ArrayList<>();
    private int failed;

    /** @param file that is written again after each cell */
    Measurement(Output out, CellRunner runner, Path file) {
        this.out = out;
        this.runner = runner;
        this.file = file;
    }

    /** The run with the rows of all cells, or of those before Ctrl-C. */
    Run of(Run empty, List<Cell> cells) throws IOException {
        Interruption.install();
        int first = 0;
        while (first < cells.size() && cells.get(first).stem().equals(Roofline.STEM)) {
            first++;
        }
        out.note("%d benchmarks; the machine's own speed comes first", cells.size());
        for (int i = 0; i < first && !Interruption.requested(); i++) {
            measure(empty, cells.get(i), progress -> {});
            out.event("progress", "done", i + 1, "of", cells.size(), "seconds_left", Double.NaN);
        }
        if (!Interruption.requested()) {
            Schedule schedule = new Schedule(runner, Roofline.of(rows), Schedule.freeMemory(runner.device()));
            measure(empty, schedule.of(cells.subList(first, cells.size())), first);
        }
        return empty.with(rows);
    }

    /** How many cells failed. */
    int failed() {
        return failed;
    }

    private void measure(Run empty, List<Schedule.Entry> schedule, int before) throws IOException {
        List<Schedule.Entry> fitting =
                schedule.stream().filter(Schedule.Entry::fits).toList();
        schedule.stream().filter(entry -> !entry.fits()).forEach(this::leaveOut);
        double left = seconds(fitting);
        out.note("%d benchmarks, at least %s", fitting.size(), Units.duration(left));
        out.event("plan", "benchmarks", before + fitting.size(), "seconds", left);
        Pace pace = new Pace();
        try (Progress progress = new Progress(out, "benchmarks", fitting.size())) {
            for (int i = 0; i < fitting.size() && !Interruption.requested(); i++) {
                Schedule.Entry entry = fitting.get(i);
                String name = entry.cell().stem() + " " + entry.cell().shape();
                double after = seconds(fitting.subList(i + 1, fitting.size()));
                int done = i;
                pace.begin(entry.duration());
                measure(
                        empty,
                        entry.cell(),
                        far -> progress.update(done, far.after(name), pace.left(far.calls(), after)));
                pace.end();
                left = pace.left(0, after);
                progress.update(i + 1, name, left);
                out.event("progress", "done", before + i + 1, "of", before + fitting.size(), "seconds_left", left);
            }
        }
    }

    private static double seconds(List<Schedule.Entry> entries) {
        return entries.stream().mapToDouble(entry -> entry.duration().seconds()).sum();
    }

    private void leaveOut(Schedule.Entry entry) {
        Cell cell = entry.cell();
        String who = entry.refused().equals(cell.stem()) ? "" : " " + entry.refused();
        out.note("left out: %s %s%s: %s", cell.stem(), cell.shape(), who, entry.refusal());
        out.event("left_out", "op", cell.stem(), "parameters", cell.parameters(), "message", entry.refusal());
        rows.add(Row.refused(cell.stem(), cell.parameters(), entry.refused(), entry.refusal()));
    }

    private void measure(Run empty, Cell cell, Consumer<TrialProgress> listener) throws IOException {
        try {
            List<Row> measured = runner.run(cell, listener);
            measured.forEach(row -> out.event("result", row.fields()));
            rows.addAll(measured);
        } catch (IllegalStateException failure) {
            // why: Ctrl-C of a terminal ends the measuring process, too.
            if (!Interruption.requested()) {
                failed++;
                out.note("%s", failure.getMessage());
                out.event("failed", "op", cell.stem(), "message", failure.getMessage());
            }
        }
        empty.with(rows).write(file);
    }
}
