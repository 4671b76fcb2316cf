package io.graft.benchmarks.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.graft.benchmarks.StepBenchmark;
import io.graft.benchmarks.measure.Forecast;
import io.graft.benchmarks.measure.Roofline;
import io.graft.cli.Machine;
import io.graft.tensor.Context;
import io.graft.tensor.Device;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What a run takes, and what of it fits into memory, before anything is made. */
class ScheduleTest {
    private static final CellRunner BRIEF = new CellRunner(1, null, 2, Device.CPU, BenchCommand.SHORT_SECONDS, false);

    /** A slow machine: what two cores with AVX2 reach where neighbours take half of them. */
    private static final Roofline SLOW = new Roofline(Map.of("f32", 40.0, "bf16", 40.0), 8);

    private static final long GIBIBYTE = 1L << 30;

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    private static Cell step(String size, String methods) {
        return new Cell(StepBenchmark.class, Map.of("size", size, "dtype", "bf16", "methods", methods));
    }

    private static long bytes(String size, String methods) {
        return Schedule.benchmark(step(size, methods))
                .forecast(Device.CPU, 2, false)
                .bytes();
    }

    private static List<Schedule.Entry> of(Cell cell, double memory) {
        return new Schedule(BRIEF, SLOW, (long) Math.ceil(memory)).of(List.of(cell));
    }

    private static List<String> methods(List<Schedule.Entry> entries) {
        return entries.stream()
                .map(entry -> entry.cell().parameters().get("methods"))
                .toList();
    }

    /** Five minutes, of which fifty seconds are for what a plan does not know: calls that are slower than the roof. */
    @Test
    void aShortRunTakesFiveMinutes() {
        for (Set<String> instructions : List.of(Set.of("avx2"), Set.of("avx2", "avx512f"))) {
            BenchPlan plan = new BenchPlan(false, Map.of(), instructions);
            List<Schedule.Entry> entries = new Schedule(BRIEF, SLOW, 24 * GIBIBYTE).of(plan.cells(plan.stems()));
            assertThat(entries).hasSizeGreaterThan(40).allMatch(Schedule.Entry::fits);
            assertThat(entries.stream()
                            .mapToDouble(entry -> entry.duration().seconds())
                            .sum())
                    .as("seconds of %s", instructions)
                    .isLessThan(250);
        }
    }

    @Test
    void methodsTakeTurnsInGroupsThatFit() {
        String all = "lora:paca:dora:ia3";
        assertThat(methods(of(step("tiny", all), 10 * bytes("tiny", all)))).containsExactly(all);
        double two = bytes("tiny", "lora:paca") / 0.9 + 1;
        assertThat(bytes("tiny", "lora:paca:dora")).isGreaterThan((long) (0.9 * two));
        List<Schedule.Entry> groups = of(step("tiny", all), two);
        assertThat(groups).allMatch(Schedule.Entry::fits);
        assertThat(methods(groups)).first().isEqualTo("lora:paca");
        assertThat(String.join(":", methods(groups))).isEqualTo(all);
    }

    @Test
    void aMethodThatDoesNotFitIsLeftOutByName() {
        double memory = bytes("tiny", "lora") / 0.9 + 1;
        List<Schedule.Entry> entries = of(step("tiny", "full:lora"), memory);
        assertThat(entries).extracting(Schedule.Entry::refused).containsExactly("full", null);
        assertThat(entries.get(0).refusal())
                .matches("it and the frozen model hold [\\d.]+ .iB, and cpu has [\\d.]+ .iB free");
        assertThat(of(step("tiny", "lora"), 1))
                .singleElement()
                .satisfies(entry -> assertThat(entry.refused()).isEqualTo("step"));
    }

    /** Its masters, gradients and moments in f32 are 16 bytes for each of 1.2 billion parameters. */
    @Test
    void fullFineTuningOfABillionIsNotTriedIn24GiB() {
        long before = Machine.residentMemory();
        List<Schedule.Entry> entries = of(step("1b", "full:lora:paca:sketchtune"), 24.0 * GIBIBYTE);
        assertThat(entries).extracting(Schedule.Entry::refused).containsExactly("full", null);
        assertThat(methods(entries)).containsExactly("full", "lora:paca:sketchtune");
        assertThat(Machine.residentMemory() - before).isLessThan(GIBIBYTE);
    }

    @Test
    void theMemoryOfRoundsIsThatOfAllAndOfTheCallThatNeedsMost() {
        List<Forecast.Need> needs = new ArrayList<>();
        needs.add(new Forecast.Need("first", 0, 0, 10, 100, 20, false));
        needs.add(new Forecast.Need("second", 0, 0, 40, 30, 30, false));
        assertThat(new Forecast(io.graft.tensor.DType.F32, needs).bytes()).isEqualTo(20 + 30 + 80);
        assertThat(new Forecast(io.graft.tensor.DType.F32, needs)
                        .of("second"::equals)
                        .bytes())
                .isEqualTo(40);
    }

    @Test
    void whatIsLeftFollowsWhatWasSeen() {
        Pace pace = new Pace();
        assertThat(pace.left(0, 60)).isEqualTo(60);
        pace.begin(new Forecast.Duration(1e-9, 10));
        pace.end();
        assertThat(pace.left(0, 60)).as("slower than was foreseen").isGreaterThan(60);
        pace.begin(new Forecast.Duration(100, 10));
        assertThat(pace.left(10, 0)).isZero();
    }

    @Test
    void howLongContendersAreMadeSaysNothingOfTheirRounds() {
        Pace pace = new Pace();
        pace.begin(new Forecast.Duration(50, 10));
        for (double elapsed : new double[] {1, 60, 170, 180}) {
            assertThat(pace.left(elapsed, 0, 100)).as("after %s s", elapsed).isNaN();
        }
        assertThat(pace.left(182, 1, 0)).isCloseTo(18, within(1e-9));
        assertThat(pace.left(190, 5, 0)).isCloseTo(10, within(1e-9));
        assertThat(pace.left(190, 5, 100))
                .as("four times as long as was foreseen")
                .isCloseTo(10 + 400, within(1e-9));
        assertThat(pace.left(200, 12, 0)).isZero();
    }
}
