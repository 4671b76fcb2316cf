package io.graft.cli.compare;

import io.graft.cli.InputException;
import io.graft.cli.Machine;
import io.graft.cli.Output;
import io.graft.cli.TextTable;
import io.graft.cli.Units;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Results: the table on stdout, pictures and one HTML file in a folder, events for programs. */
public final class Report {
    private static final String FILE = "report.html";

    private final Output out;
    private final Path folder;
    private final String title;
    private final Map<String, String> facts = new LinkedHashMap<>();
    private final Map<String, String> samples = new LinkedHashMap<>();
    private final List<Path> pictures = new ArrayList<>();

    public Report(Output out, Path folder, String title) throws IOException {
        this.out = out;
        this.folder = folder;
        this.title = title;
        Files.createDirectories(folder);
        fact("processor", Machine.processor() + ", " + Machine.processors() + " cores");
        fact("memory of the machine", Units.bytes(Machine.totalMemory()));
    }

    /** A line above the table. */
    public Report fact(String name, String value) {
        facts.put(name, value);
        return this;
    }

    /** A text below the table. */
    public Report sample(String name, String text) {
        samples.put(name, text);
        return this;
    }

    /** Draws into a PNG file. */
    @FunctionalInterface
    public interface Drawing {
        void to(Path png) throws IOException;
    }

    /** A picture of the training losses of these runs. */
    public Report losses(String file, String caption, List<Result> runs) {
        return picture(file, png -> Charts.losses(png, caption, runs));
    }

    /** A picture below the table; where this Java installation cannot draw, a remark. */
    public Report picture(String file, Drawing drawing) {
        Path png = folder.resolve(file);
        try {
            drawing.to(png);
            pictures.add(png);
        } catch (IOException | LinkageError | InternalError failure) {
            // why: a headless Java package can lack the font libraries that even off-screen drawing needs
            out.note("     no picture %s: %s", file, failure.getMessage());
        }
        return this;
    }

    /**
     * Writes everything about training runs.
     *
     * @param rows all runs
     * @param compared those whose memory and time are drawn
     */
    public void write(List<Result> rows, List<Result> compared) throws IOException {
        picture("memory.png", png -> Charts.memory(png, compared));
        picture("time.png", png -> Charts.time(png, compared));
        for (Result result : rows) {
            event(result);
        }
        write("Methods", ResultTable.HEADER, ResultTable.rows(rows));
    }

    /** Writes everything: one table with this heading, what was given before, and where the report is. */
    public void write(String heading, List<String> header, List<List<String>> rows) throws IOException {
        fact("peak resident memory of the process", Units.bytes(Machine.peakResidentMemory()));
        TextTable table = new TextTable(header);
        rows.forEach(table::add);
        out.say("");
        out.say("%s", table);
        Path html = folder.resolve(FILE);
        try {
            HtmlReport.write(html, title, facts, heading, header, rows, pictures, samples);
        } catch (IOException e) {
            throw new InputException("cannot write " + html + ": " + e.getMessage(), e);
        }
        out.event("report", "file", html.toString(), "peak_resident_bytes", Machine.peakResidentMemory());
        out.say("report: %s", html);
    }

    private void event(Result result) {
        out.event(
                "result",
                "title",
                result.name(),
                "trained_parameters",
                result.trainedParameters(),
                "steps",
                result.steps(),
                "ms_per_step",
                result.milliseconds(),
                "tokens_per_second",
                result.tokensPerSecond(),
                "base_bytes",
                result.bytes().base(),
                "training_bytes",
                result.bytes().training(),
                "activation_bytes",
                result.bytes().activations(),
                "peak_memory_bytes",
                result.bytes().peak(),
                "validation_loss_before",
                result.before(),
                "validation_loss_after",
                result.after());
    }
}
