package io.graft.benchmarks.bench;

import io.graft.benchmarks.ModelBenchmark;
import io.graft.benchmarks.measure.Roofline;
import io.graft.benchmarks.measure.TrialRecord;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.runner.BenchmarkList;
import org.openjdk.jmh.runner.format.OutputFormat;
import org.openjdk.jmh.runner.format.OutputFormatFactory;
import org.openjdk.jmh.runner.options.VerboseMode;

/**
 * What a run measures. The benchmarks are those that JMH knows, their values those that they declare: a full run takes
 * all, a short one the first of each, and for what matters in generation one token besides.
 */
final class BenchPlan {
    private static final String ROUND = ".round";
    private static final String TOKENS = "tokens";

    /** Layers that generation spends its time in. */
    private static final Set<String> DECODED = Set.of("linear", "lora", "nf4", "sketch");

    /** why: a head over a whole vocabulary takes as long as sixty layers. */
    private static final Map<String, String> SHORT_TOKENS = Map.of("linear_cross_entropy", "32");

    private static final String DTYPE = "dtype";

    /** In a full run all take turns, as many at a time as fit into memory. */
    static final String METHODS = "methods";

    /** A GPU, among instruction sets. */
    static final String GPU = "gpu";

    /** Processors without one of these have no products of bf16, and most libraries multiply them by plain loops. */
    private static final List<String> BF16_PRODUCTS = List.of("avx512f", "amx_bf16", "sve", GPU);

    private final Map<String, Class<?>> benchmarks = new TreeMap<>();
    private final Map<String, List<String>> named;
    private final boolean full;
    private final Set<String> instructionSets;

    /**
     * @param full all values, or the first of each
     * @param named values that replace those of a parameter, wherever it exists
     * @param instructionSets of the processor, by which a short run chooses its type
     */
    BenchPlan(boolean full, Map<String, List<String>> named, Set<String> instructionSets) {
        this.full = full;
        this.instructionSets = instructionSets;
        this.named = Map.copyOf(named);
        OutputFormat silent = OutputFormatFactory.createFormatInstance(System.err, VerboseMode.SILENT);
        BenchmarkList.defaultList().getAll(silent, List.of()).stream()
                .filter(entry -> entry.getUsername().endsWith(ROUND))
                .forEach(entry -> {
                    Class<?> type = load(entry.getUserClassQName());
                    benchmarks.put(TrialRecord.stem(type.getName()), type);
                });
    }

    private static Class<?> load(String name) {
        try {
            return Class.forName(name, false, BenchPlan.class.getClassLoader());
        } catch (ClassNotFoundException stale) {
            throw new IllegalStateException("the list of benchmarks names " + name + ", which is not there", stale);
        }
    }

    /** The stems of all ops, and what whole models do, sorted. */
    List<String> stems() {
        return benchmarks.keySet().stream()
                .filter(stem -> !stem.equals(Roofline.STEM))
                .toList();
    }

    /** What to run for these stems; the machine's own speed first and last, in both types. */
    List<Cell> cells(List<String> stems) {
        Set<String> parameters =
                new java.util.HashSet<>(declared(benchmarks.get(Roofline.STEM)).keySet());
        List<Cell> cells = new ArrayList<>();
        for (String stem : stems) {
            Class<?> type = benchmarks.get(stem);
            if (type == null) {
                throw new IllegalArgumentException(
                        "no op is called " + stem + "; the ops are " + String.join(", ", stems()));
            }
            Map<String, List<String>> values = values(stem, type);
            parameters.addAll(values.keySet());
            cells.addAll(product(type, values));
            if (!full && DECODED.contains(stem) && !named.containsKey(TOKENS)) {
                values.put(TOKENS, List.of("1"));
                cells.addAll(product(type, values));
            }
        }
        for (String name : named.keySet()) {
            if (!parameters.contains(name)) {
                throw new IllegalArgumentException("no chosen benchmark has a parameter " + name + "; there are "
                        + String.join(", ", new java.util.TreeSet<>(parameters)));
            }
        }
        List<Cell> all = new ArrayList<>(roofline());
        all.addAll(cells);
        all.addAll(roofline());
        return all;
    }

    private List<Cell> roofline() {
        Map<String, List<String>> values = declared(benchmarks.get(Roofline.STEM));
        values.put("model", named.getOrDefault("model", values.get("model")).subList(0, 1));
        values.computeIfPresent(DTYPE, (name, all) -> named.getOrDefault(name, chosen(name, all)));
        return product(benchmarks.get(Roofline.STEM), values);
    }

    private List<String> chosen(String parameter, List<String> all) {
        if (full) {
            return parameter.equals(METHODS) ? List.of(ModelBenchmark.ALL) : all;
        }
        boolean wide = parameter.equals(DTYPE) && java.util.Collections.disjoint(BF16_PRODUCTS, instructionSets);
        return List.of(wide ? "f32" : all.get(0));
    }

    private Map<String, List<String>> values(String stem, Class<?> type) {
        Map<String, List<String>> values = declared(type);
        values.replaceAll(this::chosen);
        if (!full && SHORT_TOKENS.containsKey(stem)) {
            values.replace(TOKENS, List.of(SHORT_TOKENS.get(stem)));
        }
        values.replaceAll((name, chosen) -> named.getOrDefault(name, chosen));
        return values;
    }

    /** The parameters of a class, those of its base first. */
    private static Map<String, List<String>> declared(Class<?> type) {
        Map<String, List<String>> values =
                type.getSuperclass() == Object.class ? new LinkedHashMap<>() : declared(type.getSuperclass());
        for (Field field : type.getDeclaredFields()) {
            Param parameter = field.getAnnotation(Param.class);
            if (parameter != null) {
                values.put(field.getName(), Arrays.asList(parameter.value()));
            }
        }
        return values;
    }

    private static List<Cell> product(Class<?> type, Map<String, List<String>> values) {
        List<Map<String, String>> all = List.of(Map.of());
        for (Map.Entry<String, List<String>> parameter : values.entrySet()) {
            List<Map<String, String>> longer = new ArrayList<>();
            for (Map<String, String> chosen : all) {
                for (String value : parameter.getValue()) {
                    Map<String, String> one = new LinkedHashMap<>(chosen);
                    one.put(parameter.getKey(), value);
                    longer.add(one);
                }
            }
            all = longer;
        }
        return all.stream().map(parameters -> new Cell(type, parameters)).toList();
    }
}
