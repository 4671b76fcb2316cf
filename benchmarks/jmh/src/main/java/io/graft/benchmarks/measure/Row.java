package io.graft.benchmarks.measure;

import com.fasterxml.jackson.annotation.JsonIgnore;
import io.graft.tensor.Memory;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * What a trial tells of one contender; a row of every table and results file.
 *
 * @param stem the op, as in {@code native/src/ops/ops.def}
 * @param parameters model, dtype, tokens …
 * @param contender its name
 * @param equalTo the contender of Graft that computes the same, empty for Graft's own
 * @param status {@code timed}, {@code absent}, {@code refused}, {@code different} or {@code slow}
 * @param note why it was not timed, or what is odd about it
 * @param samples how many rounds
 * @param milliseconds of a call
 * @param kernelMilliseconds of the same ops from a loop in C; NaN where that was not measured
 * @param ratios of times of the same round: to {@code frozen}, and to each peer that computes the same; below 1 is faster
 * @param flops of a call, at least
 * @param bytes that a call moves, at least
 * @param peakBytes the most held during a call, by {@link Memory} category, and {@code all}; of a peer {@code all} where it
 *     tells it: PEFT the largest resident size of its process
 * @param retainedBytes held after a call; 0 for peers
 * @param javaBytes that a call allocates on the Java heap
 * @param tokens that a call trains on, or makes; 0 of an op
 */
public record Row(
        String stem,
        Map<String, String> parameters,
        String contender,
        String equalTo,
        String status,
        String note,
        int samples,
        Quartiles milliseconds,
        Quartiles kernelMilliseconds,
        Map<String, Quartiles> ratios,
        double flops,
        double bytes,
        Map<String, Long> peakBytes,
        long retainedBytes,
        long javaBytes,
        int tokens) {
    private static final List<String> ORDER = List.of("model", "size", "layer", "tokens", "rank", "dtype", "cache");

    /** Names of contenders, which are in the contenders' rows. */
    private static final String METHODS = "methods";

    /** The rows of a trial, in its order. */
    static List<Row> of(String stem, Map<String, String> parameters, Trial trial) {
        return trial.contenders().stream()
                .map(contender -> of(stem, parameters, trial, contender))
                .toList();
    }

    /** The row of a contender, or of a whole benchmark by its stem, that was left out. */
    public static Row refused(String stem, Map<String, String> parameters, String contender, String why) {
        return new Row(
                stem,
                parameters,
                contender,
                "",
                Contender.Status.REFUSED.name().toLowerCase(Locale.ROOT),
                why,
                0,
                Quartiles.of(List.of()),
                Quartiles.of(List.of()),
                Map.of(),
                0,
                0,
                Map.of(),
                0,
                0,
                0);
    }

    private static Row of(String stem, Map<String, String> parameters, Trial trial, Contender own) {
        Map<String, Quartiles> ratios = new LinkedHashMap<>();
        for (Contender other : trial.contenders()) {
            boolean peer = other.equalTo().equals(own.name());
            boolean frozen = other.name().equals(Trial.FROZEN) && own.isLike(other);
            if ((peer || frozen) && other != own && both(own, other)) {
                ratios.put(other.name(), ratio(own.milliseconds(), other.milliseconds()));
            }
        }
        Map<String, Long> peaks = new LinkedHashMap<>();
        if (own.countsMemory()) {
            for (Memory category : Memory.values()) {
                peaks.put(category.name().toLowerCase(Locale.ROOT), own.peak(category));
            }
        }
        if (own.knowsPeak()) {
            peaks.put("all", own.peak());
        }
        return new Row(
                stem,
                parameters,
                own.name(),
                own.equalTo(),
                own.status().name().toLowerCase(Locale.ROOT),
                own.note(),
                own.milliseconds().size(),
                Quartiles.of(own.milliseconds()),
                Quartiles.of(own.kernelMilliseconds()),
                ratios,
                own.flops(),
                own.bytes(),
                peaks,
                own.countsMemory() ? own.retained() : 0,
                own.javaBytes(),
                own.tokens());
    }

    private static boolean both(Contender own, Contender other) {
        return own.status() == Contender.Status.TIMED && other.status() == Contender.Status.TIMED;
    }

    private static Quartiles ratio(List<Double> above, List<Double> below) {
        List<Double> ratios = new ArrayList<>();
        for (int i = 0; i < Math.min(above.size(), below.size()); i++) {
            ratios.add(above.get(i) / below.get(i));
        }
        return Quartiles.of(ratios);
    }

    /** Names and values in turn, for programs. */
    public Object[] fields() {
        return new Object[] {
            "op",
            stem,
            "parameters",
            parameters,
            "contender",
            contender,
            "status",
            status,
            "note",
            note,
            "ms",
            milliseconds.median(),
            "ms_lower_quartile",
            milliseconds.lower(),
            "ms_upper_quartile",
            milliseconds.upper(),
            "kernel_ms",
            kernelMilliseconds.median(),
            "ratios",
            ratios,
            "flops",
            flops,
            "bytes",
            bytes,
            "peak_bytes",
            peakBytes,
            "retained_bytes",
            retainedBytes,
            "java_bytes",
            javaBytes,
            "tokens_per_second",
            tokensPerSecond()
        };
    }

    @JsonIgnore
    public boolean isTimed() {
        return status.equals("timed");
    }

    /** Billions of floating point operations in a second. */
    @JsonIgnore
    public double gigaflops() {
        return flops / milliseconds.median() * 1e-6;
    }

    /** Billions of bytes in a second. */
    @JsonIgnore
    public double gigabytes() {
        return bytes / milliseconds.median() * 1e-6;
    }

    /** What Java adds to a call, in microseconds; NaN where the kernels' own time was not measured. */
    @JsonIgnore
    public double bindingMicroseconds() {
        return (milliseconds.median() - kernelMilliseconds.median()) * 1e3;
    }

    /** Tokens in a second; 0 of an op. */
    @JsonIgnore
    public double tokensPerSecond() {
        return tokens / milliseconds.median() * 1e3;
    }

    /** The parameters in a few words. */
    @JsonIgnore
    public String shape() {
        return shape(parameters);
    }

    /** The parameters of a benchmark in a few words. */
    public static String shape(Map<String, String> parameters) {
        return parameters.entrySet().stream()
                .filter(parameter -> !parameter.getKey().equals(METHODS))
                .sorted(Comparator.comparingInt(parameter -> place(parameter.getKey())))
                .map(parameter -> switch (parameter.getKey()) {
                    case "model", "size", "dtype", "layer", "cache" -> parameter.getValue();
                    case "tokens" -> "T=" + parameter.getValue();
                    case "rank" -> "r=" + parameter.getValue();
                    default -> parameter.getKey() + "=" + parameter.getValue();
                })
                .collect(Collectors.joining(" "));
    }

    private static int place(String parameter) {
        int place = ORDER.indexOf(parameter);
        return place < 0 ? ORDER.size() : place;
    }

    /** What a row has in common with its like in another run. */
    @JsonIgnore
    public String key() {
        return stem + " " + shape() + " " + contender;
    }
}
