package io.graft.benchmarks.bench;

import io.graft.benchmarks.measure.Row;
import io.graft.benchmarks.measure.TrialRecord;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * One process of a run: a benchmark and the values of its parameters.
 *
 * @param benchmark the class
 * @param parameters in the order of the class
 */
record Cell(Class<?> benchmark, Map<String, String> parameters) {
    String stem() {
        return TrialRecord.stem(benchmark.getName());
    }

    /** The same with another value of a parameter. */
    Cell with(String parameter, String value) {
        Map<String, String> changed = new LinkedHashMap<>(parameters);
        changed.put(parameter, value);
        return new Cell(benchmark, changed);
    }

    /** Its shape in the words of the table. */
    String shape() {
        return Row.shape(parameters);
    }
}
