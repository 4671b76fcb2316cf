package io.graft.benchmarks.measure;

import io.graft.cli.Machine;
import io.graft.tensor.Memory;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.profile.InternalProfiler;
import org.openjdk.jmh.results.AggregationPolicy;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.ScalarResult;

/**
 * Memory as JMH's results: of each contender of Graft the most bytes that its context held during a call, by category,
 * what it holds after it, and the bytes that a call allocates on the Java heap; of the process its largest resident size.
 */
public final class GraftMemoryProfiler implements InternalProfiler {
    @Override
    public String getDescription() {
        return "Memory of each contender by category, Java allocation, resident size";
    }

    @Override
    public void beforeIteration(BenchmarkParams benchmark, IterationParams iteration) {}

    @Override
    public Collection<? extends Result> afterIteration(
            BenchmarkParams benchmark, IterationParams iteration, IterationResult result) {
        List<Result<?>> results = new ArrayList<>();
        results.add(bytes("resident.peak", Machine.peakResidentMemory()));
        Trial trial = Trial.current();
        if (trial != null) {
            trial.contenders().stream()
                    .filter(contender -> contender.status() == Contender.Status.TIMED)
                    .forEach(contender -> add(results, contender));
        }
        return results;
    }

    private static void add(List<Result<?>> results, Contender contender) {
        results.add(bytes(contender.name() + ":java.allocated", contender.javaBytes()));
        if (contender.countsMemory()) {
            for (Memory category : Memory.values()) {
                String name = category.name().toLowerCase(Locale.ROOT);
                results.add(bytes(contender.name() + ":peak." + name, contender.peak(category)));
            }
            results.add(bytes(contender.name() + ":peak", contender.peak()));
            results.add(bytes(contender.name() + ":retained", contender.retained()));
        }
    }

    private static ScalarResult bytes(String label, long value) {
        return new ScalarResult(label, value, "B", AggregationPolicy.MAX);
    }
}
