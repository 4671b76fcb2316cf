package io.graft.benchmarks.bench;

import io.graft.benchmarks.ModelBenchmark;
import io.graft.benchmarks.TrialBenchmark;
import io.graft.benchmarks.measure.Forecast;
import io.graft.benchmarks.measure.Roofline;
import io.graft.cli.Interruption;
import io.graft.cli.Machine;
import io.graft.cli.Units;
import io.graft.tensor.Device;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/** How long each cell takes at least, and which does not fit into memory: known before any is measured. */
final class Schedule {
    /** why: the system, the Java heap and what peers hold besides their tensors need room, too. */
    private static final double SHARE_OF_MEMORY = 0.9;

    /**
     * A cell as it will be.
     *
     * @param duration at the speed of the roof
     * @param refused what is not measured: a contender, or the stem for all of them; null: nothing
     * @param refusal why, or null
     */
    record Entry(Cell cell, Forecast.Duration duration, String refused, String refusal) {
        boolean fits() {
            return refusal == null;
        }
    }

    private final CellRunner runner;
    private final Roofline roof;
    private final long memory;

    /**
     * @param roof as it was measured
     * @param memory that cells may take together with all else
     */
    Schedule(CellRunner runner, Roofline roof, long memory) {
        this.runner = runner;
        this.roof = roof;
        this.memory = memory;
    }

    /** What is free where a run measures. */
    static long freeMemory(Device device) {
        return device.isCpu() ? Machine.availableMemory() : device.properties().memoryBytes();
    }

    /** All cells, or those before Ctrl-C. */
    List<Entry> of(List<Cell> cells) {
        return cells.stream()
                .takeWhile(cell -> !Interruption.requested())
                .flatMap(cell -> entries(cell).stream())
                .toList();
    }

    private List<Entry> entries(Cell cell) {
        if (cell.stem().equals(Roofline.STEM)) {
            // why: what was measured before fits again, and copies even where nothing is computed.
            return List.of(new Entry(cell, runner.least(), null, null));
        }
        Forecast forecast;
        try {
            forecast = benchmark(cell).forecast(runner.device(), runner.threads(), runner.torch());
        } catch (RuntimeException unplanned) {
            // why: what cannot be planned is measured all the same, and then says itself what is wrong.
            return List.of(new Entry(cell, runner.least(), null, null));
        }
        String methods = cell.parameters().get(BenchPlan.METHODS);
        return fits(forecast) || methods == null
                ? List.of(entry(cell, forecast))
                : groups(cell, forecast, ModelBenchmark.names(methods));
    }

    private boolean fits(Forecast forecast) {
        return forecast.bytes() <= SHARE_OF_MEMORY * memory;
    }

    private Entry entry(Cell cell, Forecast forecast) {
        return fits(forecast)
                ? new Entry(cell, runner.duration(forecast, roof), null, null)
                : refusal(cell, cell.stem(), "its contenders hold", forecast);
    }

    private Entry refusal(Cell cell, String contender, String what, Forecast forecast) {
        String why = what + " " + Units.bytes(forecast.bytes()) + ", and " + runner.device() + " has "
                + Units.bytes(memory) + " free";
        return new Entry(cell, runner.least(), contender, why);
    }

    /** Methods of a model that do not fit all at once: as many at a time as do, each time beside the model without one. */
    private List<Entry> groups(Cell cell, Forecast all, List<String> methods) {
        Predicate<String> base =
                contender -> methods.stream().noneMatch(name -> ModelBenchmark.serves(contender, name));
        if (!fits(all.of(base))) {
            return List.of(entry(cell, all.of(base)));
        }
        List<Entry> entries = new ArrayList<>();
        List<String> group = new ArrayList<>();
        for (String method : methods) {
            Forecast alone = all.of(with(base, List.of(method)));
            if (!fits(alone)) {
                entries.add(
                        refusal(cell.with(BenchPlan.METHODS, method), method, "it and the frozen model hold", alone));
                continue;
            }
            group.add(method);
            if (!fits(all.of(with(base, group)))) {
                group.remove(method);
                entries.add(group(cell, all.of(with(base, group)), group));
                group = new ArrayList<>(List.of(method));
            }
        }
        if (!group.isEmpty()) {
            entries.add(group(cell, all.of(with(base, group)), group));
        }
        return entries;
    }

    private static Predicate<String> with(Predicate<String> base, List<String> methods) {
        return base.or(contender -> methods.stream().anyMatch(name -> ModelBenchmark.serves(contender, name)));
    }

    private Entry group(Cell cell, Forecast forecast, List<String> methods) {
        return entry(cell.with(BenchPlan.METHODS, String.join(ModelBenchmark.SEPARATOR, methods)), forecast);
    }

    /** A benchmark with the parameters of a cell, as JMH sets them. */
    static TrialBenchmark benchmark(Cell cell) {
        try {
            TrialBenchmark benchmark =
                    (TrialBenchmark) cell.benchmark().getDeclaredConstructor().newInstance();
            for (Map.Entry<String, String> parameter : cell.parameters().entrySet()) {
                Field field = cell.benchmark().getField(parameter.getKey());
                field.set(
                        benchmark,
                        field.getType() == int.class ? Integer.valueOf(parameter.getValue()) : parameter.getValue());
            }
            return benchmark;
        } catch (ReflectiveOperationException unlike) {
            throw new IllegalStateException(cell.stem() + " is not as JMH takes it", unlike);
        }
    }
}
