package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.Emulated;
import io.graft.adapter.Adapter;
import io.graft.adapter.Paca;
import io.graft.adapter.Reselection;
import io.graft.io.PeftPacaConfig;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Device;
import io.graft.tensor.Scope;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Steps as CUDA graphs: the bits of steps without, with schedule, dropout, accumulation and clipping, whatever the batches. */
@Emulated
class GraphedTrainerTest {
    private static final Supplier<Adapter> PACA = () -> Paca.create(PeftPacaConfig.builder()
            .rank(4)
            .alpha(8)
            .targetPattern("all-linear")
            .randomSeed(5)
            .build());

    /** Rows of one length: every batch has the same shape, and with full ones the same share in its step. */
    private static ExampleBatches equal() {
        List<Example> examples = new ArrayList<>();
        for (int i = 0; i < 12; i++) {
            int[] ids = new int[8];
            for (int j = 0; j < ids.length; j++) {
                ids[j] = 3 + (17 * i + 5 * j) % 190;
            }
            examples.add(Example.of(ids));
        }
        return new ExampleBatches(examples, 2, 8, 8, 11);
    }

    private record Run(String name, Supplier<Adapter> adapter, DType dtype, int accumulation, boolean equal) {
        @Override
        public String toString() {
            return name + " " + dtype + " x" + accumulation + (equal ? "" : ", rows of any length");
        }
    }

    static Stream<Run> runs() {
        return Stream.of(
                new Run("LoRA", TrainerTest.LORA, DType.F32, 2, true),
                new Run("LoRA", TrainerTest.LORA, DType.BF16, 1, true),
                new Run("LoRA", TrainerTest.LORA, DType.F32, 2, false),
                new Run("PaCA", PACA, DType.BF16, 2, true));
    }

    private static List<Object> train(Run run, boolean graphs, AdamW.Settings optimiser, List<String> unkept) {
        List<Object> all = new ArrayList<>();
        try (Context context = Context.on(Device.cuda(0));
                Scope scope = context.scope();
                Llama model = Golden.load(
                        scope,
                        "llama_gqa",
                        run.dtype(),
                        Llama.Options.training(run.adapter().get()));
                Trainer trainer = new Trainer(
                        model,
                        TrainerTest.options(5)
                                .withAccumulation(run.accumulation())
                                .withOptimiser(optimiser)
                                .withGraphs(graphs),
                        run.equal() ? equal() : TrainerTest.source(2))) {
            trainer.onStep((step, loss, rate, norm, speed) -> all.addAll(List.of(loss, norm)))
                    .run();
            model.trainable().forEach(p -> all.add(p.master().floats()));
            unkept.addAll(trainer.unkept());
        }
        return all;
    }

    @ParameterizedTest
    @MethodSource("runs")
    void stepsHaveTheBitsOfThoseWithoutGraphs(Run run) {
        List<String> unkept = new ArrayList<>();
        AdamW.Settings clipped = AdamW.Settings.defaults().withMaxNorm(0.05);
        List<Object> expected = train(run, false, clipped, unkept);
        assertThat(train(run, true, clipped, unkept)).usingRecursiveComparison().isEqualTo(expected);
        assertThat(unkept).isEmpty();
    }

    /** Step 3 measures gradients, which steps 1 and 2 do not. */
    @ParameterizedTest
    @EnumSource(Reselection.class)
    void columnsAreChosenAgainAsWithout(Reselection by) {
        Run run = new Run("PaCA", () -> ((Paca) PACA.get()).reselecting(3, by), DType.F32, 1, true);
        List<String> unkept = new ArrayList<>();
        AdamW.Settings optimiser = AdamW.Settings.defaults();
        List<Object> expected = train(run, false, optimiser, unkept);
        assertThat(train(run, true, optimiser, unkept))
                .usingRecursiveComparison()
                .isEqualTo(expected);
        if (by == Reselection.GRADIENT) {
            assertThat(unkept).containsExactly("the passes of Paca differ from step to step");
        } else {
            assertThat(unkept).isEmpty();
        }
    }

    @Test
    void whatIsNotKeptIsSaid() {
        Run run = new Run("LoRA", TrainerTest.LORA, DType.F32, 1, true);
        List<String> unkept = new ArrayList<>();
        AdamW.Settings galore = AdamW.Settings.defaults().withGalore(new Galore.Settings(2, 2, 1, 0));
        List<Object> expected = train(run, false, galore, unkept);
        assertThat(train(run, true, galore, unkept)).usingRecursiveComparison().isEqualTo(expected);
        assertThat(unkept).containsExactly("the steps of this optimiser differ from one another");
    }

    @Test
    void theCpuHasNoGraphs() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_gqa", Llama.Options.training(PACA.get()))) {
            assertThatThrownBy(() -> new Trainer(model, TrainerTest.options(1).withGraphs(true), equal()))
                    .hasMessageContaining("graphs are of CUDA devices, the model is on the CPU");
        }
    }
}
