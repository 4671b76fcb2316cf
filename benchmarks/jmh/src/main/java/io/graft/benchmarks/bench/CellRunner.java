package io.graft.benchmarks.bench;

import io.graft.benchmarks.TrialBenchmark;
import io.graft.benchmarks.measure.Row;
import io.graft.benchmarks.measure.TrialRecord;
import io.graft.tensor.Device;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.format.OutputFormatFactory;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.VerboseMode;

/**
 * Runs cells by JMH, each in a process of its own.
 *
 * @param forks processes for each cell; 0: in this process
 * @param rounds that are measured, null for those that the benchmark says
 * @param threads of the contenders, 0 for all processors
 * @param device of the contenders
 * @param seconds after which a cell's rounds end
 */
record CellRunner(int forks, Integer rounds, int threads, Device device, double seconds) {
    /** why: a process starts, makes the inputs of all contenders, and calls each twice before the rounds. */
    static final double START_SECONDS = 2;

    private static final int QUOTED_LINES = 12;

    /** About how long so many cells take where only time ends their rounds, else infinite. */
    double seconds(int cells) {
        return cells * Math.max(1, forks) * (START_SECONDS + seconds);
    }

    /** The rows of a cell. Throws {@link IllegalStateException} with the end of JMH's output where it fails. */
    List<Row> run(Cell cell) throws IOException {
        Path record = Files.createTempFile("graft-bench", ".jsonl");
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        try (PrintStream stream = new PrintStream(output, true, StandardCharsets.UTF_8)) {
            new Runner(options(cell, record), OutputFormatFactory.createFormatInstance(stream, VerboseMode.NORMAL))
                    .run();
            return TrialRecord.read(record);
        } catch (RunnerException failure) {
            throw new IllegalStateException(
                    cell.stem() + " " + cell.shape() + ": " + failure.getMessage() + "\n"
                            + end(output.toString(StandardCharsets.UTF_8)),
                    failure);
        } finally {
            Files.deleteIfExists(record);
        }
    }

    private org.openjdk.jmh.runner.options.Options options(Cell cell, Path record) {
        ChainedOptionsBuilder builder = new OptionsBuilder()
                .include("^" + cell.benchmark().getName().replace(".", "\\.") + "\\.round$")
                .forks(forks)
                .shouldFailOnError(true);
        cell.parameters().forEach(builder::param);
        if (rounds != null) {
            builder.measurementIterations(rounds);
        }
        String[] properties = {
            TrialRecord.PROPERTY + "=" + record,
            TrialBenchmark.THREADS + "=" + threads,
            TrialBenchmark.DEVICE + "=" + device,
            TrialBenchmark.SECONDS + "=" + seconds
        };
        for (int i = 0; i < properties.length; i++) {
            if (forks == 0) {
                System.setProperty(properties[i].split("=", 2)[0], properties[i].split("=", 2)[1]);
            }
            properties[i] = "-D" + properties[i];
        }
        return builder.jvmArgsAppend(properties).build();
    }

    private static String end(String text) {
        List<String> lines = text.lines().filter(line -> !line.isBlank()).toList();
        return String.join("\n", lines.subList(Math.max(0, lines.size() - QUOTED_LINES), lines.size()));
    }
}
