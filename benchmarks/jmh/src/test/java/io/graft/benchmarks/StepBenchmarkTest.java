package io.graft.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.PrimitiveIterator;
import org.junit.jupiter.api.Test;

/** Whether a method has learnt its batch, by its losses. */
class StepBenchmarkTest {
    private static final double NEVER = Double.POSITIVE_INFINITY;

    private static String fault(double longStep, double... losses) {
        PrimitiveIterator.OfDouble rest = Arrays.stream(losses).skip(1).iterator();
        return StepBenchmark.fault((float) losses[0], rest::nextDouble, longStep);
    }

    @Test
    void theLastOfTheLossesCounts() {
        assertThat(fault(NEVER, 10, 10.5, 9.9, 9.5, 9)).isNull();
        assertThat(fault(NEVER, 10, 9.9, 50, 1e4, 10.5))
                .isEqualTo("its loss is 10.0000 before and 10.5000 after 4 more steps on one batch,"
                        + " and must be finite and lower");
        assertThat(fault(NEVER, 10, 10, 10, 10, 10)).contains("10.0000 after 4");
    }

    @Test
    void noLossMayBeInfinite() {
        assertThat(fault(NEVER, 10, 9.9, 50, Double.NaN, 9)).contains("NaN after 3");
        assertThat(fault(NEVER, 10, Double.NEGATIVE_INFINITY)).contains("-Infinity after 1");
        assertThat(fault(NEVER, Double.POSITIVE_INFINITY, 9)).contains("Infinity after 0");
        assertThat(fault(0, 10, Double.NaN, 9)).contains("NaN after 1");
    }

    @Test
    void longStepsEndWithTheFirstThatIsLower() {
        assertThat(fault(0, 10, 10.5, 9.9)).isNull();
        assertThat(fault(0, 10, 10.5, 11, 12, 13)).contains("13.0000 after 4");
    }
}
