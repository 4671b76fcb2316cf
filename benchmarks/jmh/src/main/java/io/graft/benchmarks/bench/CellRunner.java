package io.graft.benchmarks.bench;

import io.graft.benchmarks.TrialBenchmark;
import io.graft.benchmarks.measure.Forecast;
import io.graft.benchmarks.measure.Roofline;
import io.graft.benchmarks.measure.Row;
import io.graft.benchmarks.measure.TrialProgress;
import io.graft.benchmarks.measure.TrialRecord;
import io.graft.benchmarks.peers.PeftStep;
import io.graft.tensor.Device;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.regex.Pattern;
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
 * @param torch whether the processes will have LibTorch
 */
record CellRunner(int forks, Integer rounds, int threads, Device device, double seconds, boolean torch) {
    private static final int QUOTED_LINES = 12;

    /** The first line of a stack trace. */
    private static final Pattern CAUSE = Pattern.compile("(Caused by: )?([a-z]\\w*\\.)+[A-Z]\\w*(Exception|Error)\\b");

    /** How long a cell takes at least, of which the forecast is known. */
    Forecast.Duration duration(Forecast forecast, Roofline roof) {
        int measured = rounds == null ? TrialBenchmark.ROUNDS : rounds;
        return forecast.duration(roof, new Forecast.Rounds(TrialBenchmark.WARM_UP, measured, seconds))
                .times(Math.max(1, forks));
    }

    /** How long a cell takes that has no contender. */
    Forecast.Duration least() {
        return new Forecast.Duration(Forecast.START_SECONDS, 0).times(Math.max(1, forks));
    }

    /**
     * The rows of a cell. Throws {@link IllegalStateException} with the end of JMH's output where it fails.
     *
     * @param listener is told now and then how far it is, by another thread
     */
    List<Row> run(Cell cell, Consumer<TrialProgress> listener) throws IOException {
        Path record = Files.createTempFile("graft-bench", ".jsonl");
        Path progress = Files.createTempFile("graft-bench", ".progress");
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        try (PrintStream stream = new PrintStream(output, true, StandardCharsets.UTF_8);
                Watch watch = new Watch(progress, listener)) {
            new Runner(
                            options(cell, record, progress),
                            OutputFormatFactory.createFormatInstance(stream, VerboseMode.NORMAL))
                    .run();
            return TrialRecord.read(record);
        } catch (RunnerException failure) {
            throw new IllegalStateException(
                    cell.stem() + " " + cell.shape() + ": " + failure.getMessage() + "\n"
                            + end(output.toString(StandardCharsets.UTF_8)),
                    failure);
        } finally {
            // why: without forks they are this JVM's, whose next trial would make the files anew.
            System.clearProperty(TrialRecord.PROPERTY);
            System.clearProperty(TrialProgress.PROPERTY);
            Files.deleteIfExists(record);
            Files.deleteIfExists(progress);
        }
    }

    private org.openjdk.jmh.runner.options.Options options(Cell cell, Path record, Path progress) {
        ChainedOptionsBuilder builder = new OptionsBuilder()
                .include("^" + cell.benchmark().getName().replace(".", "\\.") + "\\.round$")
                .forks(forks)
                .shouldFailOnError(true);
        cell.parameters().forEach(builder::param);
        if (rounds != null) {
            builder.measurementIterations(rounds);
        }
        Map<String, String> properties = new LinkedHashMap<>();
        properties.put(TrialRecord.PROPERTY, record.toString());
        properties.put(TrialProgress.PROPERTY, progress.toString());
        properties.put(TrialBenchmark.THREADS, Integer.toString(threads));
        properties.put(TrialBenchmark.DEVICE, device.toString());
        properties.put(TrialBenchmark.SECONDS, Double.toString(seconds));
        if (PeftStep.python() != null) {
            properties.put(PeftStep.PYTHON, PeftStep.python());
        }
        if (forks == 0) {
            properties.forEach(System::setProperty);
        }
        return builder.jvmArgsAppend(properties.entrySet().stream()
                        .map(property -> "-D" + property.getKey() + "=" + property.getValue())
                        .toArray(String[]::new))
                .build();
    }

    /** The causes of a failure where there are any, else its last lines. */
    private static String end(String text) {
        List<String> lines = text.lines().filter(line -> !line.isBlank()).toList();
        List<String> causes = lines.stream()
                .filter(line -> CAUSE.matcher(line).lookingAt())
                .distinct()
                .toList();
        if (!causes.isEmpty()) {
            return String.join("\n", causes);
        }
        return String.join("\n", lines.subList(Math.max(0, lines.size() - QUOTED_LINES), lines.size()));
    }
}
