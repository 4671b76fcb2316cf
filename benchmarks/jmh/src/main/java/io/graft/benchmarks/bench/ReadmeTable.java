package io.graft.benchmarks.bench;

import io.graft.benchmarks.measure.Quartiles;
import io.graft.benchmarks.measure.Roofline;
import io.graft.benchmarks.measure.Row;
import io.graft.benchmarks.measure.Trial;
import io.graft.cli.InputException;
import io.graft.cli.Units;
import io.graft.io.AtomicFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The table of README.md, made of a kept results file. It stands between two marks, of which the first names the file. */
final class ReadmeTable {
    private static final Pattern SECTION =
            Pattern.compile("<!-- bench:begin ?(\\S*) -->\n(.*?)<!-- bench:end -->", Pattern.DOTALL);

    private static final List<String> HEADER =
            List.of("op", "shape", "contender", "ms", "quartiles", "× frozen", "× peers", "tokens/s", "peak");

    private ReadmeTable() {}

    /** Puts the table of a results file of this source tree into its README.md. */
    static void write(Path tree, Path results) throws IOException {
        Path root = tree.toAbsolutePath().normalize();
        Path file = results.toAbsolutePath().normalize();
        Path kept = root.resolve("benchmarks").resolve("results");
        if (!file.startsWith(kept)) {
            throw new InputException("--readme takes a file that is kept below " + kept + ", not " + results);
        }
        Path readme = root.resolve("README.md");
        Matcher section = section(readme);
        String text = Files.readString(readme);
        AtomicFiles.write(
                readme,
                text.substring(0, section.start())
                        + section(Run.read(file), root.relativize(file).toString())
                        + text.substring(section.end()));
    }

    /** Whether README.md shows what the file that it names holds; nothing where it names none. */
    static boolean agrees(Path tree) throws IOException {
        Matcher section = section(tree.resolve("README.md"));
        String file = section.group(1);
        return file.isEmpty()
                ? section.group(2).isEmpty()
                : section.group().equals(section(Run.read(tree.resolve(file)), file));
    }

    private static Matcher section(Path readme) throws IOException {
        Matcher section = SECTION.matcher(Files.readString(readme));
        if (!section.find()) {
            throw new InputException(readme + " has no lines <!-- bench:begin --> and <!-- bench:end -->");
        }
        return section;
    }

    private static String section(Run run, String file) {
        StringBuilder text = new StringBuilder("<!-- bench:begin " + file + " -->\n");
        text.append('`')
                .append(run.command())
                .append("` on ")
                .append(run.processor())
                .append(", ")
                .append(run.threads())
                .append(" threads, ")
                .append(String.join(" ", run.instructionSets()))
                .append(", commit ")
                .append(run.commit())
                .append("; medians and quartiles of the rounds (`")
                .append(file)
                .append("`):\n\n");
        line(text, HEADER);
        line(text, HEADER.stream().map(name -> "---").toList());
        run.timed().stream().filter(ReadmeTable::shown).forEach(row -> line(text, cells(row)));
        return text + "<!-- bench:end -->";
    }

    private static void line(StringBuilder text, List<String> cells) {
        text.append("| ").append(String.join(" | ", cells)).append(" |\n");
    }

    /** What is held against something else; the frozen layer is what others are held against. */
    private static boolean shown(Row row) {
        return !row.stem().equals(Roofline.STEM)
                && !row.contender().equals(Trial.FROZEN)
                && !row.ratios().isEmpty()
                && row.equalTo().isEmpty();
    }

    private static List<String> cells(Row row) {
        Quartiles ms = row.milliseconds();
        return List.of(
                row.stem(),
                row.shape(),
                row.contender(),
                RunTable.milliseconds(ms.median()),
                RunTable.quartiles(ms),
                RunTable.ratio(row, Trial.FROZEN),
                RunTable.peers(row),
                RunTable.tokens(row),
                Units.bytes(row.peakBytes().get("all")));
    }
}
