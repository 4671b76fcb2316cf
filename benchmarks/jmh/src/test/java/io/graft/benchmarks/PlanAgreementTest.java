package io.graft.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.benchmarks.measure.Contender;
import io.graft.benchmarks.measure.Trial;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Device;
import io.graft.tensor.Memory;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What the counters saw of a call is what the memory planner says that it takes: every op, and whole models. */
class PlanAgreementTest {
    private static final int THREADS = 2;

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    private static Map<String, Map<String, Long>> peaks(Trial trial) {
        Map<String, Map<String, Long>> peaks = new LinkedHashMap<>();
        for (Contender contender : trial.contenders()) {
            if (contender.countsMemory()) {
                Map<String, Long> own = new LinkedHashMap<>();
                for (Memory category : Memory.values()) {
                    own.put(category.name(), contender.peak(category));
                }
                own.put("all", contender.peak());
                own.put("retained", contender.retained());
                peaks.put(contender.name(), own);
            }
        }
        return peaks;
    }

    private static void agree(TrialBenchmark benchmark) {
        Map<String, Map<String, Long>> planned;
        try (Trial trial = benchmark.plan(Device.CPU, THREADS, false)) {
            planned = peaks(trial);
        }
        try (Trial trial = new Trial(benchmark.type(), Device.CPU, THREADS, 0)) {
            benchmark.contenders(trial);
            assertThat(planned).isNotEmpty().isEqualTo(peaks(trial));
        }
    }

    static List<OpBenchmark> ops() throws ReflectiveOperationException, java.io.IOException {
        List<OpBenchmark> all = new ArrayList<>();
        for (Class<?> type : CompletenessTest.benchmarks()) {
            if (type == RooflineBenchmark.class) {
                continue;
            }
            for (DType dtype : List.of(DType.F32, DType.BF16)) {
                for (int tokens : new int[] {1, 33}) {
                    OpBenchmark op = (OpBenchmark) type.getDeclaredConstructor().newInstance();
                    op.model = "tiny";
                    op.dtype = dtype.name().toLowerCase(java.util.Locale.ROOT);
                    if (op instanceof TokenBenchmark some) {
                        some.tokens = tokens;
                    } else if (tokens != 1) {
                        continue;
                    }
                    if (op instanceof LayerBenchmark layer) {
                        layer.layer = "k_proj";
                        layer.rank = 16;
                    }
                    all.add(op);
                }
            }
        }
        return all;
    }

    @ParameterizedTest
    @MethodSource("ops")
    void ofEachOp(OpBenchmark op) {
        agree(op);
    }

    @ParameterizedTest
    @CsvSource({
        "lora:dora:vera, f32",
        "lora:paca:ia3:full, bf16",
    })
    void ofSteps(String methods, String dtype) {
        agree(model(new StepBenchmark(), methods, dtype));
    }

    @ParameterizedTest
    @CsvSource({"lora:paca, f32", "dora:prompt, bf16"})
    void ofGeneration(String methods, String dtype) {
        agree(model(new DecodeBenchmark(), methods, dtype));
    }

    private static ModelBenchmark model(ModelBenchmark benchmark, String methods, String dtype) {
        benchmark.size = "tiny";
        benchmark.methods = methods;
        benchmark.dtype = dtype;
        return benchmark;
    }
}
