package io.graft.benchmarks.bench;

import io.graft.benchmarks.measure.Row;
import io.graft.cli.Interruption;
import io.graft.cli.Output;
import io.graft.cli.Progress;
import io.graft.cli.Units;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The cells of a run, one after the other. What is measured is in the file after each of them: nothing is lost. */
final class Measurement {
    private final Output out;
    private final CellRunner runner;
    private final Path file;
    private int failed;

    /** @param file that is written again after each cell */
    Measurement(Output out, CellRunner runner, Path file) {
        this.out = out;
        this.runner = runner;
        this.file = file;
    }

    /** The run with the rows of all cells, or of those before Ctrl-C. */
    Run of(Run empty, List<Cell> cells) throws IOException {
        announce(cells.size());
        List<Row> rows = new ArrayList<>();
        Run run = empty;
        Interruption.install();
        try (Progress progress = new Progress(out, "benchmarks", cells.size())) {
            for (int i = 0; i < cells.size() && !Interruption.requested(); i++) {
                Cell cell = cells.get(i);
                List<Row> measured = measure(cell);
                measured.forEach(row -> out.event("result", row.fields()));
                rows.addAll(measured);
                run = empty.with(rows);
                run.write(file);
                progress.update(i + 1, cell.stem() + " " + cell.shape());
                out.event(
                        "progress",
                        "done",
                        i + 1,
                        "of",
                        cells.size(),
                        "seconds_left",
                        runner.seconds(cells.size() - i - 1));
            }
        }
        return run;
    }

    /** How many cells failed. */
    int failed() {
        return failed;
    }

    private void announce(int cells) {
        double seconds = runner.seconds(cells);
        if (Double.isFinite(seconds)) {
            out.note("%d benchmarks, about %s", cells, Units.duration(seconds));
        } else {
            out.note("%d benchmarks", cells);
        }
        out.event("plan", "benchmarks", cells, "seconds", seconds);
    }

    private List<Row> measure(Cell cell) throws IOException {
        try {
            return runner.run(cell);
        } catch (IllegalStateException failure) {
            // why: Ctrl-C of a terminal ends the measuring process, too.
            if (!Interruption.requested()) {
                failed++;
                out.note("%s", failure.getMessage());
                out.event("failed", "op", cell.stem(), "message", failure.getMessage());
            }
            return List.of();
        }
    }
}
