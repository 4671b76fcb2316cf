package io.graft.benchmarks.measure;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.openjdk.jmh.infra.BenchmarkParams;

/**
 * The way of a trial's rows from the process that measured to the one that asked: a file, a JSON array on a line for each
 * trial, where {@code -Dgraft.bench.record=FILE} names one. JMH's own results hold numbers alone, no reasons.
 */
public final class TrialRecord {
    public static final String PROPERTY = "graft.bench.record";

    private static final ObjectMapper JSON = new ObjectMapper();

    private TrialRecord() {}

    /** Writes down what a trial has measured, if anybody wants to know. */
    public static void append(BenchmarkParams parameters, Trial trial) {
        String file = System.getProperty(PROPERTY);
        if (file == null) {
            return;
        }
        Map<String, String> values = new TreeMap<>();
        parameters.getParamsKeys().forEach(key -> values.put(key, parameters.getParam(key)));
        try {
            String line = JSON.writeValueAsString(Row.of(stem(parameters.getBenchmark()), values, trial)) + "\n";
            Files.writeString(Path.of(file), line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException failure) {
            throw new UncheckedIOException("cannot write " + file, failure);
        }
    }

    /** The rows of all trials that were written there. */
    public static List<Row> read(Path file) throws IOException {
        List<Row> rows = new java.util.ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            rows.addAll(JSON.readValue(line, new TypeReference<List<Row>>() {}));
        }
        return rows;
    }

    /** {@code rms_norm} of {@code io.graft.benchmarks.RmsNormBenchmark.round} or of the class's name. */
    public static String stem(String benchmark) {
        String simple =
                benchmark.replaceAll("\\.round$", "").replaceAll("^.*\\.", "").replaceAll("Benchmark$", "");
        return simple.replaceAll("(?<=[a-z0-9])(?=[A-Z])", "_").toLowerCase(Locale.ROOT);
    }
}
