package io.graft.cli.demo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.api.Test;

class DemoTest {
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
    void stepsFollowFromTheTime() {
        assertThat(StepPlan.fitting(60, 0.5, 10, 600)).isEqualTo(120);
        assertThat(StepPlan.fitting(60, 100, 10, 600)).isEqualTo(10);
        assertThat(StepPlan.fitting(60, 0.001, 10, 600)).isEqualTo(600);
    }

    @Test
    void theTableHasARowForEachRun() {
        DemoResult base = new DemoResult(BaseModel.NAME, 5_000_000, 300, 500, 4096, 1 << 28, 9, 4, new double[0]);
        DemoResult lora = new DemoResult("LoRA", 100_000, 100, 300.25, 6821, 1 << 27, 5, 4.5, new double[0]);
        DemoTable table = new DemoTable(base, List.of(lora));
        assertThat(table.rows()).hasSize(2);
        assertThat(table.rows().get(1))
                .containsExactly("LoRA", "100,000", "100", "300.3", "6,821", "128 MiB", "5.000", "4.500");
        assertThat(table.text()).contains("loss after", BaseModel.NAME);
    }
}
