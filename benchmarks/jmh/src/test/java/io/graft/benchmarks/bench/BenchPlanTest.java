package io.graft.benchmarks.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.benchmarks.ModelBenchmark;
import io.graft.benchmarks.measure.Roofline;
import io.graft.cli.Method;
import io.graft.cli.Quantization;
import io.graft.tensor.Weight;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Which benchmarks a run has, at which shapes. */
class BenchPlanTest {
    private static final Set<String> AVX512 = Set.of("avx2", "avx512f");

    private static List<Cell> cells(BenchPlan plan, String stem) {
        return plan.cells(List.of(stem)).stream()
                .filter(cell -> !cell.stem().equals(Roofline.STEM))
                .toList();
    }

    @Test
    void aShortRunTakesTheFirstShapesAndOneTokenWhereItMatters() {
        BenchPlan plan = new BenchPlan(false, Map.of(), AVX512);
        assertThat(cells(plan, "lora"))
                .extracting(Cell::shape)
                .containsExactly("llama-3.2-1b q_proj T=512 r=16 bf16", "llama-3.2-1b q_proj T=1 r=16 bf16");
        assertThat(cells(plan, "linear_cross_entropy"))
                .extracting(Cell::shape)
                .containsExactly("llama-3.2-1b T=32 bf16");
        assertThat(plan.cells(plan.stems())).hasSizeBetween(plan.stems().size() + 4, 50);
    }

    @Test
    void aShortRunTakesATypeThatTheProcessorMultiplies() {
        BenchPlan plan = new BenchPlan(false, Map.of(), Set.of("avx2"));
        assertThat(plan.cells(List.of("gelu")))
                .allSatisfy(cell -> assertThat(cell.parameters()).containsEntry("dtype", "f32"));
        assertThat(new BenchPlan(true, Map.of(), Set.of("avx2")).cells(List.of("adamw")))
                .anySatisfy(cell -> assertThat(cell.parameters()).containsEntry("dtype", "bf16"));
    }

    @Test
    void wholeModelsAreSmallInAShortRunAndUnderEachMethodInAFullOne() {
        BenchPlan brief = new BenchPlan(false, Map.of(), AVX512);
        for (String stem : List.of("step", "decode")) {
            assertThat(cells(brief, stem)).singleElement().satisfies(cell -> {
                assertThat(cell.shape()).isEqualTo("30m bf16");
                assertThat(cell.parameters()).containsEntry("methods", "lora:paca");
            });
        }
        assertThat(cells(new BenchPlan(true, Map.of(), AVX512), "step"))
                .hasSize(3 * 2)
                .allSatisfy(cell -> assertThat(
                                ModelBenchmark.names(cell.parameters().get("methods")))
                        .hasSameSizeAs(Method.all(Weight.Kind.DENSE, Quantization.NONE))
                        .contains("dora", "full"))
                .extracting(Cell::shape)
                .contains("1b f32", "150m bf16");
        assertThat(cells(
                        new BenchPlan(false, Map.of("size", List.of("150m"), "methods", List.of("dora")), AVX512),
                        "step"))
                .singleElement()
                .satisfies(cell -> assertThat(cell.parameters())
                        .containsEntry("size", "150m")
                        .containsEntry("methods", "dora"));
    }

    @Test
    void aFullRunTakesAll() {
        BenchPlan plan = new BenchPlan(true, Map.of(), AVX512);
        assertThat(cells(plan, "lora")).hasSize(3 * 2 * 5 * 4);
        assertThat(cells(plan, "rms_norm")).hasSize(3 * 2 * 5);
        assertThat(cells(plan, "adamw")).hasSize(3 * 2);
        assertThat(cells(plan, "rms_norm").stream()
                        .map(cell -> cell.parameters().get("tokens")))
                .contains("1", "8", "128", "512", "2048");
    }

    @Test
    void theMachineIsMeasuredFirstAndLast() {
        List<Cell> cells = new BenchPlan(false, Map.of(), AVX512).cells(List.of("gelu"));
        assertThat(cells).extracting(Cell::stem).containsExactly("roofline", "gelu", "roofline");
        assertThat(new BenchPlan(true, Map.of("dtype", List.of("f32"), "tokens", List.of("3")), AVX512)
                        .cells(List.of("gelu")))
                .extracting(Cell::shape)
                .containsExactly(
                        "llama-3.2-1b f32",
                        "llama-3.2-1b T=3 f32",
                        "llama-3-8b T=3 f32",
                        "llama-3.1-70b T=3 f32",
                        "llama-3.2-1b f32");
    }

    @Test
    void whatIsUnknownIsRefusedInWords() {
        BenchPlan plan = new BenchPlan(false, Map.of("hats", List.of("3")), AVX512);
        assertThatThrownBy(() -> plan.cells(List.of("lora")))
                .hasMessageContaining("no chosen benchmark has a parameter hats")
                .hasMessageContaining("tokens");
        assertThatThrownBy(() -> plan.cells(List.of("hat")))
                .hasMessageContaining("no op is called hat")
                .hasMessageContaining("rms_norm");
    }
}
