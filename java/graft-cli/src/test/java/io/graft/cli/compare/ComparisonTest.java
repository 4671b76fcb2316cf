package io.graft.cli.compare;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.api.Test;

class ComparisonTest {
    @Test
    void theRateRisesAndFalls() {
        StepPlan plan = new StepPlan(1.0);
        double early = plan.rate(7);
        plan.steps(200);
        assertThat(plan.rate(7)).isEqualTo(early);
        assertThat(plan.rate(0)).isCloseTo(1.0 / 21, within(1e-12));
        assertThat(plan.rate(StepPlan.WARMUP)).isEqualTo(1.0);
        assertThat(plan.rate(110)).isBetween(0.4, 0.7);
        assertThat(plan.rate(200)).isCloseTo(0.05, within(1e-12));
    }

    @Test
    void aShortPlanStillRisesAndFalls() {
        StepPlan plan = new StepPlan(1.0);
        plan.steps(10);
        assertThat(plan.rate(2)).isEqualTo(1.0);
        assertThat(plan.rate(9)).isLessThan(0.2);
    }

    @Test
    void theTableHasARowForEachRun() {
        Result.Bytes bytes = new Result.Bytes(1 << 26, 1 << 20, 1 << 25, 1 << 27);
        Result base = new Result("base", 5_000_000, 300, 500, 4096, bytes, 9, 4, new double[0]);
        Result lora = new Result("LoRA", 100_000, 100, 300.25, 6821, bytes, 5, 4.5, new double[0]);
        List<Result> results = List.of(base, lora);
        assertThat(ResultTable.rows(results)).hasSize(2);
        assertThat(ResultTable.rows(results).get(1))
                .containsExactly(
                        "LoRA", "100,000", "64 MiB", "1.0 MiB", "32 MiB", "128 MiB", "100", "300.3", "6,821", "5.000",
                        "4.500");
        assertThat(ResultTable.HEADER)
                .contains("loss after")
                .hasSameSizeAs(ResultTable.rows(results).get(1));
    }
}
