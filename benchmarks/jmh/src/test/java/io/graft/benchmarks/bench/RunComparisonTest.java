package io.graft.benchmarks.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.graft.benchmarks.bench.RunComparison.Verdict;
import io.graft.benchmarks.measure.Quartiles;
import io.graft.benchmarks.measure.Roofline;
import io.graft.benchmarks.measure.Row;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What changed between two runs, and whether it did. */
class RunComparisonTest {
    private static final double TENTH = 0.1;

    static Row row(String stem, String contender, double ms, double spread, Double overFrozen) {
        Map<String, Quartiles> ratios = overFrozen == null ? Map.of() : Map.of("frozen", around(overFrozen, spread));
        return new Row(
                stem,
                Map.of("model", "tiny"),
                contender,
                "",
                "timed",
                "",
                11,
                around(ms, spread),
                around(ms / 2, spread),
                ratios,
                1e9,
                1e6,
                Map.of("all", 1L << 20),
                1 << 20,
                0,
                0);
    }

    private static Quartiles around(double median, double spread) {
        return new Quartiles(median * (1 - spread), median, median * (1 + spread));
    }

    static Run run(String processor, Row... rows) {
        List<Row> all = List.of(rows);
        return new Run(
                Run.FORMAT,
                processor,
                2,
                Set.of("avx2"),
                1L << 34,
                "JVM 17",
                "abc1234",
                Map.of("Graft", "1"),
                "graft bench",
                2,
                Roofline.of(all),
                all);
    }

    private static RunComparison compare(Row before, Row after) {
        return RunComparison.of(run("EPYC", before), run("EPYC", after), TENTH);
    }

    @Test
    void slowerAndFasterBeyondNoiseCount() {
        RunComparison slower = compare(row("gelu", "gelu", 1, 0.02, null), row("gelu", "gelu", 1.2, 0.02, null));
        assertThat(slower.changes().get(0).verdict()).isEqualTo(Verdict.SLOWER);
        assertThat(slower.changes().get(0).change()).isCloseTo(0.2, within(1e-12));
        assertThat(slower.changes().get(0).noise()).isCloseTo(0.02, within(1e-12));
        assertThat(slower.slower()).isTrue();
        RunComparison faster = compare(row("gelu", "gelu", 1.2, 0.02, null), row("gelu", "gelu", 1, 0.02, null));
        assertThat(faster.changes().get(0).verdict()).isEqualTo(Verdict.FASTER);
        assertThat(faster.slower()).isFalse();
    }

    @Test
    void whatTheThresholdOrTheNoiseHidesDoesNot() {
        assertThat(compare(row("gelu", "gelu", 1, 0.01, null), row("gelu", "gelu", 1.09, 0.01, null))
                        .changes()
                        .get(0)
                        .verdict())
                .isEqualTo(Verdict.SAME);
        RunComparison noisy = compare(row("gelu", "gelu", 1, 0.3, null), row("gelu", "gelu", 1.2, 0.02, null));
        assertThat(noisy.changes().get(0).verdict()).isEqualTo(Verdict.NOISE);
        assertThat(noisy.slower()).isFalse();
    }

    /** A machine at half its speed leaves the ratio to the frozen layer as it was. */
    @Test
    void methodsAreJudgedByTheirRatioToTheFrozenLayer() {
        RunComparison same = compare(row("lora", "lora", 10, 0.02, 1.05), row("lora", "lora", 20, 0.02, 1.06));
        assertThat(same.changes().get(0).measure()).isEqualTo("× frozen");
        assertThat(same.slower()).isFalse();
        RunComparison worse = compare(row("lora", "lora", 10, 0.02, 1.05), row("lora", "lora", 10, 0.02, 1.5));
        assertThat(worse.slower()).isTrue();
    }

    @Test
    void timesOfTwoMachinesAreNotCompared() {
        Run before = run("EPYC", row("gelu", "gelu", 1, 0.01, null), row("lora", "lora", 1, 0.01, 1.0));
        Run after = run("Xeon", row("gelu", "gelu", 9, 0.01, null), row("lora", "lora", 9, 0.01, 1.3));
        RunComparison comparison = RunComparison.of(before, after, TENTH);
        assertThat(comparison.incomparable()).isEqualTo(1);
        assertThat(comparison.changes()).hasSize(1);
        assertThat(comparison.slower()).isTrue();
    }

    @Test
    void rowsThatOneRunHasAreNamed() {
        RunComparison comparison = compare(row("gelu", "gelu", 1, 0.01, null), row("rope", "rope", 1, 0.01, null));
        assertThat(comparison.onlyBefore()).containsExactly("gelu tiny gelu");
        assertThat(comparison.onlyAfter()).containsExactly("rope tiny rope");
        assertThat(comparison.changes()).isEmpty();
    }

    private static Row inGroup(String methods, String contender, double ms) {
        Row row = row("decode", contender, ms, 0.01, 1.0);
        return new Row(
                row.stem(),
                Map.of("size", "30m", "methods", methods),
                row.contender(),
                row.equalTo(),
                row.status(),
                row.note(),
                row.samples(),
                row.milliseconds(),
                row.kernelMilliseconds(),
                Map.of("frozen", around(ms, 0.01)),
                row.flops(),
                row.bytes(),
                row.peakBytes(),
                row.retainedBytes(),
                row.javaBytes(),
                row.tokens());
    }

    private static Run groups(double again) {
        return run(
                "EPYC",
                inGroup("lora:dora", "nf4", 1),
                inGroup("lora:dora", "lora", 2),
                inGroup("paca", "nf4", again),
                inGroup("paca", "paca", 3));
    }

    /** What each group of methods has again is one contender, in the numbers of the first group. */
    @Test
    void groupsOfMethodsHaveTheirCommonContendersOnce() {
        assertThat(groups(7).timed()).extracting(Row::contender).containsExactly("nf4", "lora", "paca");
        assertThat(RunTable.rows(groups(7)))
                .extracting(cells -> cells.get(2) + " " + cells.get(3))
                .containsExactly("nf4 1.000", "lora 2.000", "paca 3.000");
        RunComparison comparison = RunComparison.of(groups(7), groups(9), TENTH);
        assertThat(comparison.changes())
                .hasSize(3)
                .allSatisfy(change -> assertThat(change.change()).isZero());
        Run rounds = run("EPYC", inGroup("paca", "nf4", 1), inGroup("paca", "nf4", 2));
        assertThat(rounds.timed()).as("processes of one cell").hasSize(2);
    }

    @Test
    void theTableHasARowForWhatWasTimed() {
        Row lora = row("lora", "lora", 10.5, 0.1, 1.25);
        Row absent = new Row(
                "lora",
                Map.of(),
                "libtorch",
                "lora",
                "absent",
                "not here",
                0,
                Quartiles.of(List.of()),
                Quartiles.of(List.of()),
                Map.of(),
                0,
                0,
                Map.of(),
                0,
                0,
                0);
        Run run = run("EPYC", lora, absent);
        assertThat(RunTable.rows(run)).hasSize(1);
        assertThat(RunTable.rows(run).get(0))
                .hasSameSizeAs(RunTable.HEADER)
                .containsSequence(
                        "lora", "tiny", "lora", "10.5", "9.450–11.6", "5.250", "5250.00", "1.25", "-", "95.2", "0.1");
        assertThat(RunTable.remarks(run)).containsExactly("absent: not here (lora/libtorch)");
    }

    private static Row libTorch(String status, String note) {
        return new Row(
                "lora",
                Map.of(),
                "libtorch lora",
                "lora",
                status,
                note,
                0,
                Quartiles.of(List.of()),
                Quartiles.of(List.of()),
                Map.of(),
                0,
                0,
                Map.of(),
                0,
                0,
                0);
    }

    /** A run that was to have LibTorch may be one of benchmarks without it, or one in which it failed. */
    @Test
    void libTorchWasMeasuredWhereARowSaysSo() {
        Run empty = run("EPYC");
        Run all = new Run(
                empty.format(),
                empty.processor(),
                empty.cores(),
                empty.instructionSets(),
                empty.memoryBytes(),
                empty.java(),
                empty.commit(),
                Map.of("Graft", "1", "LibTorch", "2"),
                empty.command(),
                empty.threads(),
                empty.roofline(),
                List.of());
        Row lora = row("lora", "lora", 1, 0.01, null);
        Run without = all.with(List.of(lora));
        assertThat(without.libTorch()).isEqualTo("not in these benchmarks");
        assertThat(without.libraries()).containsOnlyKeys("Graft");
        Run refused = all.with(List.of(lora, libTorch("refused", "no such type")));
        assertThat(refused.libTorch()).isEqualTo("no such type");
        assertThat(refused.libraries()).containsOnlyKeys("Graft");
        Run measured = all.with(List.of(lora, libTorch("refused", "no such type"), libTorch("timed", "")));
        assertThat(measured.libTorch()).isEqualTo("measured");
        assertThat(measured.libraries()).containsOnlyKeys("Graft", "LibTorch");
    }

    @Test
    void aMachineHasAFolder() {
        assertThat(run("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz").machine())
                .isEqualTo("intel-xeon-platinum-8481c-cpu-2-70ghz-2cpu");
    }
}
