package io.graft.benchmarks.measure;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.profile.InternalProfiler;
import org.openjdk.jmh.results.AggregationPolicy;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.ScalarResult;

/** Shows the time of each contender of a round as a result of JMH. */
public final class ContenderProfiler implements InternalProfiler {
    @Override
    public String getDescription() {
        return "Time of each contender of a round";
    }

    @Override
    public void beforeIteration(BenchmarkParams benchmark, IterationParams iteration) {}

    @Override
    public Collection<? extends Result> afterIteration(
            BenchmarkParams benchmark, IterationParams iteration, IterationResult result) {
        List<Result<?>> results = new ArrayList<>();
        Trial trial = Trial.current();
        if (trial != null) {
            for (Contender contender : trial.contenders()) {
                List<Double> times = contender.milliseconds();
                if (!times.isEmpty()) {
                    results.add(new ScalarResult(
                            contender.name(), times.get(times.size() - 1), "ms/op", AggregationPolicy.AVG));
                }
            }
        }
        return results;
    }
}
