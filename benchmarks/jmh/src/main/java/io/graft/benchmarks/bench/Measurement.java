package io.graft.benchmarks.bench;

import io.graft.benchmarks.measure.Roofline;
import io.graft.benchmarks.measure.Row;
import io.graft.cli.Interruption;
import io.graft.cli.Output;
import io.graft.cli.Progress;
import io.graft.cli.Units;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

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
            measure(empty, cells.get(i));
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
                schedule.stream().filter(entry -> entry.refusal() == null).toList();
        schedule.stream().filter(entry -> entry.refusal() != null).forEach(this::leaveOut);
        double left = seconds(fitting);
        out.note("%d benchmarks, at least %s", fitting.size(), Units.duration(left));
        out.event("plan", "benchmarks", before + fitting.size(), "seconds", left);
        long start = System.nanoTime();
        double expected = 0;
        try (Progress progress = new Progress(out, "benchmarks", fitting.size())) {
            for (int i = 0; i < fitting.size() && !Interruption.requested(); i++) {
                Cell cell = fitting.get(i).cell();
                measure(empty, cell);
                progress.update(i + 1, cell.stem() + " " + cell.shape());
                expected += fitting.get(i).seconds();
                double pace = (System.nanoTime() - start) * 1e-9 / expected;
                left = pace * seconds(fitting.subList(i + 1, fitting.size()));
                out.event("progress", "done", before + i + 1, "of", before + fitting.size(), "seconds_left", left);
            }
        }
    }

    private static double seconds(List<Schedule.Entry> entries) {
        return entries.stream().mapToDouble(Schedule.Entry::seconds).sum();
    }

    private void leaveOut(Schedule.Entry entry) {
        Cell cell = entry.cell();
        out.note("left out: %s %s: %s", cell.stem(), cell.shape(), entry.refusal());
        out.event("left_out", "op", cell.stem(), "parameters", cell.parameters(), "message", entry.refusal());
        rows.add(Row.refused(cell.stem(), cell.parameters(), entry.refusal()));
    }

    private void measure(Run empty, Cell cell) throws IOException {
        try {
            List<Row> measured = runner.run(cell);
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
