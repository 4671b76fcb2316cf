package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;

import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

class ScheduleTest {
    private static final Offset<Double> EXACT = Offset.offset(1e-12);

    @Test
    void constantStays() {
        assertThat(Schedule.constant(0.5).rate(1000)).isEqualTo(0.5);
    }

    @Test
    void linearEndsAtZero() {
        Schedule schedule = Schedule.linear(1, 10);
        assertThat(schedule.rate(0)).isCloseTo(1, EXACT);
        assertThat(schedule.rate(5)).isCloseTo(0.5, EXACT);
        assertThat(schedule.rate(10)).isZero();
        assertThat(schedule.rate(20)).isZero();
    }

    @Test
    void cosineIsHalfwayInTheMiddle() {
        Schedule schedule = Schedule.cosine(1, 10);
        assertThat(schedule.rate(0)).isCloseTo(1, EXACT);
        assertThat(schedule.rate(5)).isCloseTo(0.5, EXACT);
        assertThat(schedule.rate(10)).isCloseTo(0, EXACT);
    }

    @Test
    void warmupRisesAndThenStartsTheSchedule() {
        Schedule schedule = Schedule.linear(1, 10).withWarmup(4);
        assertThat(schedule.rate(0)).isCloseTo(0.2, EXACT);
        assertThat(schedule.rate(3)).isCloseTo(0.8, EXACT);
        assertThat(schedule.rate(4)).isCloseTo(1, EXACT);
        assertThat(schedule.rate(9)).isCloseTo(0.5, EXACT);
    }
}
