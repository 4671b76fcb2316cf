package io.graft.benchmarks.measure;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.graft.ops.Linear;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Device;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Contenders that take turns. */
class TrialTest {
    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
        assertThat(Trial.current()).isNull();
    }

    private static Work linear(Inputs inputs) {
        Weight w = inputs.frozen(96, 64, 0);
        Tensor x = inputs.random(1, 40, 64);
        Tensor y = inputs.output(40, 96);
        return new Work(() -> Linear.forward(inputs.context(), x, w, null, false, y))
                .gives("y", y)
                .cost(2 * 40 * 96 * 64, 4 * (40 * 96 + 40 * 64 + 96 * 64));
    }

    private static Work plain(Inputs inputs) {
        Tensor w = inputs.frozen(96, 64, 0).matrix();
        Tensor y = inputs.output(40, 96);
        PlainProduct gemm = PlainProduct.forward(inputs, inputs.random(1, 40, 64), w, y);
        return new Work(gemm::run).gives("y", y);
    }

    private static Work wrong(Inputs inputs) {
        Work right = plain(inputs);
        Tensor y = inputs.output(40, 96);
        return new Work(() -> TensorOps.fill(inputs.context(), 0.5, y)).gives("y", y);
    }

    private static List<Row> rows(Trial trial) {
        return Row.of("linear", Map.of("model", "tiny", "dtype", "f32"), trial);
    }

    @Test
    void contendersThatComputeTheSameAreTimedInTurns() {
        try (Trial trial = new Trial(DType.F32, Device.CPU, 1, Double.POSITIVE_INFINITY)) {
            trial.graft(Trial.FROZEN, TrialTest::linear).peer("onednn", Trial.FROZEN, TrialTest::plain);
            trial.round(false);
            for (int i = 0; i < 4; i++) {
                trial.round(true);
            }
            Row frozen = rows(trial).get(0);
            Row plain = rows(trial).get(1);
            assertThat(frozen.samples()).isEqualTo(4);
            assertThat(plain.samples()).isEqualTo(4);
            assertThat(frozen.ratios()).containsOnlyKeys("onednn");
            assertThat(plain.ratios()).containsOnlyKeys(Trial.FROZEN);
            assertThat(plain.flops()).isEqualTo(frozen.flops());
            assertThat(frozen.gigaflops())
                    .isCloseTo(frozen.flops() / frozen.milliseconds().median() * 1e-6, within(1e-9));
            assertThat(frozen.javaBytes()).isZero();
            assertThat(frozen.kernelMilliseconds().median()).isPositive();
            assertThat(plain.kernelMilliseconds().median())
                    .as("a peer has no ops")
                    .isNaN();
        }
    }

    @Test
    void whatComputesSomethingElseIsReportedAndNotTimed() {
        try (Trial trial = new Trial(DType.F32, Device.CPU, 1, 1)) {
            trial.graft(Trial.FROZEN, TrialTest::linear)
                    .peer("wrong", Trial.FROZEN, TrialTest::wrong)
                    .peer("silent", Trial.FROZEN, inputs -> new Work(() -> {}))
                    .peer("unable", Trial.FROZEN, inputs -> {
                        throw new IllegalStateException("no such type");
                    });
            trial.round(true);
            List<Row> rows = rows(trial);
            assertThat(rows).extracting(Row::status).containsExactly("timed", "different", "different", "refused");
            assertThat(rows.get(1).note()).startsWith("y differs by ");
            assertThat(rows.get(2).note()).isEqualTo("it does not give y");
            assertThat(rows.get(3).note()).isEqualTo("no such type");
            assertThat(rows.get(1).samples()).isZero();
            assertThat(rows.get(0).ratios()).isEmpty();
        }
    }

    private static Work starting(Inputs inputs, double value, String fault) {
        Tensor y = inputs.output(4);
        return new Work(() -> TensorOps.fill(inputs.context(), value, y))
                .gives("logits", y)
                .tokens(8)
                .unless(() -> fault);
    }

    @Test
    void variantsAreTimedWhereTheyWorkAndSayWhereTheyStart() {
        try (Trial trial = new Trial(DType.F32, Device.CPU, 1, 1)) {
            trial.graft(Trial.FROZEN, inputs -> starting(inputs, 1, null))
                    .variant("lora", Trial.FROZEN, inputs -> starting(inputs, 1, null))
                    .variant("prompt", Trial.FROZEN, inputs -> starting(inputs, 2, null))
                    .variant("lazy", Trial.FROZEN, inputs -> starting(inputs, 1, "it does not learn"))
                    .variant("unable", Trial.FROZEN, inputs -> {
                        throw new IllegalStateException("no biases");
                    });
            trial.round(true);
            List<Row> rows = rows(trial);
            assertThat(rows).extracting(Row::status).containsExactly("timed", "timed", "timed", "different", "refused");
            assertThat(rows)
                    .extracting(Row::note)
                    .containsExactly(
                            "",
                            "",
                            "starts apart from frozen: logits differs by 1.0 of its norm, more than 0.00010",
                            "it does not learn",
                            "no biases");
            assertThat(rows.get(1).ratios()).containsOnlyKeys(Trial.FROZEN);
            assertThat(rows.get(1).tokensPerSecond())
                    .isCloseTo(8e3 / rows.get(1).milliseconds().median(), within(1e-6));
            assertThat(rows.get(1).kernelMilliseconds().median())
                    .as("models are not run again")
                    .isNaN();
        }
    }

    @Test
    void aPeerThatTakesForeverIsNotRepeated() {
        int[] calls = {0};
        try (Trial trial = new Trial(DType.F32, Device.CPU, 1, 1)) {
            trial.graft(Trial.FROZEN, TrialTest::linear).peer("loops", Trial.FROZEN, inputs -> {
                Work right = plain(inputs);
                return new Work(() -> {
                            calls[0]++;
                            right.call().run();
                            LockSupport.parkNanos(2_100_000_000L);
                        })
                        .gives("y", right.results().get("y"));
            });
            trial.round(true);
            assertThat(calls[0]).isEqualTo(1);
            assertThat(rows(trial).get(1).status()).isEqualTo("slow");
            assertThat(rows(trial).get(1).note())
                    .startsWith("a call took 2.")
                    .endsWith("times as long as that of frozen");
        }
    }

    @Test
    void aFailureOfGraftIsAFailure() {
        try (Trial trial = new Trial(DType.F32, Device.CPU, 1, 1)) {
            assertThatThrownBy(() -> trial.graft("lora", inputs -> {
                        Tensor x = inputs.random(1, 2, 2);
                        return new Work(() -> TensorOps.add(inputs.context(), x, inputs.output(3, 3)));
                    }))
                    .hasMessageContaining("lora: ");
            assertThatThrownBy(() -> trial.peer("onednn", "absent", TrialTest::plain))
                    .hasMessageContaining("no contender is called absent");
        }
    }

    @Test
    void roundsEndWithTheirTimeButNotBeforeThree() {
        try (Trial trial = new Trial(DType.F32, Device.CPU, 1, 0)) {
            trial.graft(Trial.FROZEN, TrialTest::linear);
            for (int i = 0; i < 8; i++) {
                trial.round(true);
            }
            assertThat(rows(trial).get(0).samples()).isEqualTo(3);
        }
    }

    @Test
    void aCallOfSecondsIsNotWarmedUp() {
        int[] calls = {0};
        try (Trial trial = new Trial(DType.F32, Device.CPU, 1, 0)) {
            trial.graft(
                    "long",
                    inputs -> new Work(() -> {
                        calls[0]++;
                        LockSupport.parkNanos(1_100_000_000L);
                    }));
            int first = calls[0];
            trial.round(false);
            assertThat(calls[0]).isEqualTo(first);
            trial.round(true);
            assertThat(calls[0]).isEqualTo(first + 1);
        }
    }

    @Test
    void whatComesBeforeACallComesBeforeEachAndIsNotTimed() {
        List<String> done = new ArrayList<>();
        try (Trial trial = new Trial(DType.F32, Device.CPU, 1, 0)) {
            trial.graft(
                    "cold",
                    inputs -> new Work(() -> done.add("call")).before(() -> {
                        done.add("before");
                        LockSupport.parkNanos(20_000_000);
                    }));
            assertThat(done).containsExactly("before", "call", "before", "call");
            done.clear();
            trial.round(true);
            assertThat(done.subList(done.size() - 2, done.size())).containsExactly("before", "call");
            assertThat(rows(trial).get(0).milliseconds().median()).isLessThan(10);
        }
    }

    @Test
    void aProcessIsPlannedWithItsLibraries() {
        try (Trial trial = Trial.planning(DType.F32, Device.CPU, 1, false)) {
            trial.graft(Trial.FROZEN, TrialTest::linear);
            long alone = trial.forecast().bytes();
            trial.peer("onednn", Trial.FROZEN, TrialTest::plain);
            assertThat(trial.forecast().bytes()).isBetween(alone + 1, 3 * alone);
            trial.process("peft", Trial.FROZEN, TrialTest::plain);
            assertThat(trial.forecast().bytes()).isGreaterThan((1L << 30) + alone);
        }
    }

    @Test
    void aTrialTellsHowFarItIs(@TempDir Path folder) throws IOException {
        Path file = Files.createFile(folder.resolve("progress"));
        System.setProperty(TrialProgress.PROPERTY, file.toString());
        try (Trial trial = new Trial(DType.F32, Device.CPU, 1, 1)) {
            assertThat(TrialProgress.read(file)).isEqualTo(new TrialProgress(0, ""));
            trial.graft(Trial.FROZEN, TrialTest::linear)
                    .peer("onednn", Trial.FROZEN, TrialTest::plain)
                    .absent("libtorch", Trial.FROZEN, "not here")
                    .peer("wrong", Trial.FROZEN, TrialTest::wrong);
            assertThat(Files.readAllLines(file))
                    .as("those alone are ready that are timed")
                    .containsExactly(
                            "0 making frozen",
                            "0 frozen is ready",
                            "0 making onednn",
                            "0 onednn is ready",
                            "0 making wrong");
            TrialProgress.filled(3, 40);
            assertThat(TrialProgress.read(file)).isEqualTo(new TrialProgress(0, "making wrong, 3 of 40 tensors"));
            trial.round(true);
            assertThat(TrialProgress.read(file)).isEqualTo(new TrialProgress(2, "round 1"));
            Files.writeString(file, "2 roun", StandardOpenOption.APPEND);
            assertThat(TrialProgress.read(file)).isEqualTo(new TrialProgress(2, "round 1"));
        } finally {
            System.clearProperty(TrialProgress.PROPERTY);
        }
    }

    @Test
    void quartilesLieBetweenTheirNeighbours() {
        Quartiles five = Quartiles.of(List.of(5.0, 1.0, 4.0, 2.0, 3.0));
        assertThat(five).isEqualTo(new Quartiles(2, 3, 4));
        assertThat(Quartiles.of(List.of(1.0, 2.0))).isEqualTo(new Quartiles(1.25, 1.5, 1.75));
        assertThat(Quartiles.of(List.of()).median()).isNaN();
    }

    @Test
    void theRoofIsTheBestOfWhatWasSeen() {
        Row slow = gemm(20);
        Row fast = gemm(10);
        Roofline roof = Roofline.of(List.of(slow, fast));
        assertThat(roof.gigaflops()).containsExactly(Map.entry("f32", 100.0));
        assertThat(roof.gigabytes()).isNaN();
        assertThat(roof.share(slow)).isCloseTo(0.5, within(1e-12));
    }

    private static Row gemm(double ms) {
        Quartiles time = new Quartiles(ms, ms, ms);
        return new Row(
                Roofline.STEM,
                Map.of("dtype", "f32"),
                Roofline.GEMM,
                "",
                "timed",
                "",
                1,
                time,
                Quartiles.of(List.of()),
                Map.of(),
                1e9,
                0,
                Map.of(),
                0,
                0,
                0);
    }
}
