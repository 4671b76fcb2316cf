package io.graft.benchmarks.bench;

import io.graft.benchmarks.TrialBenchmark;
import io.graft.benchmarks.measure.Forecast;
import io.graft.benchmarks.measure.Roofline;
import io.graft.cli.Interruption;
import io.graft.cli.Machine;
import io.graft.cli.Units;
import io.graft.tensor.Device;
import java.lang.reflect.Field;
import java.util.List;
import java.util.Map;

/** How long each cell takes at least, and which does not fit into memory: known before any is measured. */
final class Schedule {
    /** why: the system, the Java heap and what peers hold besides their tensors need room, too. */
    private static final double SHARE_OF_MEMORY = 0.9;

    /**
     * A cell as it will be.
     *
     * @param seconds at the speed of the roof
     * @param refusal why it is not measured, or null
     */
    record Entry(Cell cell, double seconds, String refusal) {}

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
                .map(this::entry)
                .toList();
    }

    private Entry entry(Cell cell) {
        if (cell.stem().equals(Roofline.STEM)) {
            // why: what was measured before fits again, and copies even where nothing is computed.
            return new Entry(cell, runner.leastSeconds(), null);
        }
        Forecast forecast;
        try {
            forecast = benchmark(cell).forecast(runner.device(), runner.threads(), runner.torch());
        } catch (RuntimeException unplanned) {
            // why: what cannot be planned is measured all the same, and then says itself what is wrong.
            return new Entry(cell, runner.leastSeconds(), null);
        }
        boolean fits = forecast.bytes() <= SHARE_OF_MEMORY * memory;
        return new Entry(
                cell,
                runner.seconds(forecast, roof),
                fits
                        ? null
                        : "its contenders hold " + Units.bytes(forecast.bytes()) + ", and " + runner.device() + " has "
                                + Units.bytes(memory) + " free");
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
