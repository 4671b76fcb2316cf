package io.graft.benchmarks.bench;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.graft.benchmarks.measure.Roofline;
import io.graft.benchmarks.measure.Row;
import io.graft.cli.InputException;
import io.graft.io.AtomicFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A run as it is kept in a file: what was measured, and all that the numbers depend on.
 *
 * @param format of the file; this class reads {@link #FORMAT} alone
 * @param processor as the system names it, or the GPU that was measured
 * @param cores that the process may use
 * @param instructionSets that matter to the kernels
 * @param memoryBytes of the machine
 * @param java virtual machine and version
 * @param commit of the source tree, with {@code -changed} where it differs from it
 * @param libraries versions of Graft and of what it is held against; LibTorch where it was timed
 * @param command that made the file
 * @param threads of every contender
 * @param roofline of the machine in this run
 * @param rows of all contenders
 */
record Run(
        int format,
        String processor,
        int cores,
        Set<String> instructionSets,
        long memoryBytes,
        String java,
        String commit,
        Map<String, String> libraries,
        String command,
        int threads,
        Roofline roofline,
        List<Row> rows) {
    static final int FORMAT = 2;

    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    /** The same run with these rows, the roof that they tell of, and the libraries that were measured. */
    Run with(List<Row> measured) {
        Map<String, String> used = new TreeMap<>(libraries);
        if (libTorch(measured).noneMatch(Row::isTimed)) {
            used.remove("LibTorch");
        }
        return new Run(
                format,
                processor,
                cores,
                instructionSets,
                memoryBytes,
                java,
                commit,
                used,
                command,
                threads,
                Roofline.of(measured),
                List.copyOf(measured));
    }

    /**
     * The rows of what was timed. Methods that do not fit into memory at once are measured in groups, and each group has the
     * contenders that are no methods again: of those only the first are here.
     */
    @JsonIgnore
    List<Row> timed() {
        Map<String, Row> first = new HashMap<>();
        return rows.stream()
                .filter(Row::isTimed)
                .filter(row -> {
                    Row before = first.putIfAbsent(row.key(), row);
                    return before == null || before.parameters().equals(row.parameters());
                })
                .toList();
    }

    private static Stream<Row> libTorch(List<Row> rows) {
        return rows.stream().filter(row -> row.contender().startsWith("libtorch"));
    }

    /** Whether LibTorch was measured, in words, and why not. */
    @JsonIgnore
    String libTorch() {
        return libTorch(rows).anyMatch(Row::isTimed)
                ? "measured"
                : libTorch(rows).map(Row::note).findFirst().orElse("not in these benchmarks");
    }

    /** The machine in the name of a folder: {@code amd-epyc-7b13-2cpu}. */
    @JsonIgnore
    String machine() {
        String words = processor.toLowerCase(Locale.ROOT).replaceAll("\\((r|tm)\\)", "");
        return words.replaceAll("[^a-z0-9]+", "-").replaceAll("^-|-$", "") + "-" + cores + "cpu";
    }

    /** Writes {@code MACHINE/COMMIT.json} below a folder, unless that would lose rows of an earlier run. */
    Path keep(Path results) throws IOException {
        Path file = results.resolve(machine()).resolve(commit + ".json");
        if (Files.exists(file)) {
            Set<String> lost = keys(read(file));
            lost.removeAll(keys(this));
            if (!lost.isEmpty()) {
                throw new InputException(file + " has " + lost.size() + " rows that this run does not have, such as "
                        + lost.iterator().next() + "; it is left as it is");
            }
        }
        write(file);
        return file;
    }

    private static Set<String> keys(Run run) {
        return run.rows().stream().map(Row::key).collect(Collectors.toCollection(TreeSet::new));
    }

    /** Writes the file, whole or not at all. */
    void write(Path file) throws IOException {
        Files.createDirectories(file.toAbsolutePath().getParent());
        AtomicFiles.write(file, JSON.writeValueAsString(this) + "\n");
    }

    /** Reads a file; the message of a failure names it. */
    static Run read(Path file) {
        if (!Files.isRegularFile(file)) {
            throw new InputException("no results file: " + file);
        }
        Run run;
        try {
            run = JSON.readValue(file.toFile(), Run.class);
        } catch (IOException unreadable) {
            throw new InputException(
                    "not a results file of graft bench: " + file + ": "
                            + unreadable.getMessage().lines().findFirst().orElse(""),
                    unreadable);
        }
        if (run.format() != FORMAT || run.rows() == null) {
            throw new InputException("results file " + file + " has format " + run.format() + ", must be " + FORMAT);
        }
        return run;
    }
}
