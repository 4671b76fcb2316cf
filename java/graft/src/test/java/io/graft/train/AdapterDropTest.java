package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.Adapter;
import io.graft.adapter.AdaptionPrompt;
import io.graft.adapter.Bottleneck;
import io.graft.adapter.Combined;
import io.graft.adapter.Lora;
import io.graft.adapter.LoraStart;
import io.graft.adapter.Paca;
import io.graft.io.PeftAdaptionPromptConfig;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftPacaConfig;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Scope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** AdapterDrop: blocks without their adapters are the base's, learn nothing in that step, and are back afterwards. */
class AdapterDropTest extends InContext {
    private static Adapter adapter(String kind, String... layers) {
        if (kind.equals("bottleneck")) {
            return Bottleneck.create(
                    PeftBottleneckConfig.of("base", List.of("o_proj", "down_proj"), 4, false)
                            .startingRandomly(),
                    3);
        }
        return Lora.create(
                PeftLoraConfig.parse("test", """
                {"peft_type": "LORA", "r": 3, "lora_alpha": 6, "init_lora_weights": false,
                 "target_modules": ["q_proj", "o_proj", "up_proj", "down_proj"]%s}""".formatted(
                                layers.length == 0 ? "" : ", \"layers_to_transform\": [" + layers[0] + "]")),
                3);
    }

    private Llama model(DType dtype, Adapter adapter) {
        return Golden.load(scope, "llama_gqa", dtype, Llama.Options.training(adapter));
    }

    private static Batch batch() {
        Batch batch = new Batch();
        TrainerTest.source(2).next(batch);
        return batch;
    }

    @ParameterizedTest
    @ValueSource(strings = {"lora", "bottleneck"})
    void blocksWithoutAdaptersAreTheBase(String kind) {
        try (Llama model = model(DType.F32, adapter(kind));
                Llama base = model(DType.F32, null)) {
            float[] whole = model.logits(batch());
            model.leaveOutAdapters(1);
            float[] half = model.logits(batch());
            model.leaveOutAdapters(2);
            assertThat(model.logits(batch())).isEqualTo(base.logits(batch()));
            assertThat(half).isNotEqualTo(whole).isNotEqualTo(base.logits(batch()));
            model.leaveOutAdapters(0);
            assertThat(model.logits(batch())).isEqualTo(whole);
        }
    }

    /** Against an adapter that has only the upper block: loss, gradients, and none below. */
    @Test
    void aPassWithoutTheLowestBlockIsThatOfTheOthers() {
        try (Llama model = model(DType.F32, adapter("lora"));
                Llama upper = model(DType.F32, adapter("lora", "1"))) {
            for (Parameter parameter : upper.trainable()) {
                Parameter same = model.trainable().stream()
                        .filter(p -> p.name().equals(parameter.name()))
                        .findFirst()
                        .orElseThrow();
                parameter.value().set(same.value().floats());
            }
            upper.parametersChanged();
            model.leaveOutAdapters(1);
            float loss = model.lossAndGradients(batch());
            assertThat(loss).isEqualTo(upper.lossAndGradients(batch()));
            for (Parameter parameter : model.trainable()) {
                float[] gradient = parameter.gradient().floats();
                if (parameter.name().contains("layers.0.")) {
                    assertThat(IntStream.range(0, gradient.length).allMatch(i -> gradient[i] == 0))
                            .isTrue();
                } else {
                    Parameter same = upper.trainable().stream()
                            .filter(p -> p.name().equals(parameter.name()))
                            .findFirst()
                            .orElseThrow();
                    assertThat(gradient).isEqualTo(same.gradient().floats());
                }
            }
            model.leaveOutAdapters(2);
            model.zeroGradients();
            model.lossAndGradients(batch());
            assertThat(model.trainable())
                    .allMatch(p -> IntStream.range(0, p.gradient().floats().length)
                            .allMatch(i -> p.gradient().floats()[i] == 0));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"lora", "bottleneck"})
    void stepsDrawHowManyBlocksAndAResumeDrawsTheSame(String kind, @TempDir Path folder) {
        Path file = folder.resolve("run");
        List<float[]> whole = run(kind, 2, 8, null, null, 2);
        assertThat(run(kind, 4, 8, null, null, 2)).usingRecursiveComparison().isEqualTo(whole);
        assertThat(run(kind, 2, 8, null, null, 0)).usingRecursiveComparison().isNotEqualTo(whole);
        run(kind, 1, 3, null, file, 2);
        assertThat(run(kind, 2, 8, file, null, 2)).usingRecursiveComparison().isEqualTo(whole);
    }

    private static List<float[]> run(String kind, int threads, long steps, Path from, Path to, int drop) {
        try (Context own = Context.cpu(threads);
                Scope inner = own.scope();
                Llama model = Golden.load(inner, "llama_gqa", DType.BF16, Llama.Options.training(adapter(kind)));
                Trainer trainer =
                        new Trainer(model, TrainerTest.options(steps).withAdapterDrop(drop), TrainerTest.source(2))) {
            if (from != null) {
                trainer.resume(from);
            }
            trainer.run();
            if (to != null) {
                trainer.save(to);
            }
            List<float[]> result = new ArrayList<>();
            model.trainable().forEach(p -> result.add(p.master().floats()));
            return result;
        }
    }

    /** Gates and rows of attention are no adapter of a projection, and learn below blocks that have theirs. */
    @Test
    void whatStaysInALeftOutBlockLearns() {
        Adapter both = Combined.of(Map.of(
                "gated", AdaptionPrompt.create(PeftAdaptionPromptConfig.of("base", 3, 2), 5), "lora", adapter("lora")));
        try (Llama model = model(DType.F32, both)) {
            model.trainable().stream()
                    .filter(p -> p.name().endsWith("gate"))
                    .forEach(p -> p.value().set(0.5f));
            model.parametersChanged();
            model.leaveOutAdapters(2);
            model.zeroGradients();
            model.lossAndGradients(batch());
            assertThat(model.trainable()).allSatisfy(p -> {
                boolean zero = IntStream.range(0, p.gradient().floats().length)
                        .allMatch(i -> p.gradient().floats()[i] == 0);
                assertThat(zero).as(p.name()).isEqualTo(!p.name().contains("adaption"));
            });
        }
    }

    /** Directions without gradients see the same blocks as a step with them. */
    @Test
    void forwardPassesAloneDrawToo() {
        List<Float> losses = new ArrayList<>();
        for (int drop : new int[] {0, 2}) {
            try (Llama model = model(DType.F32, adapter("lora"));
                    Trainer trainer = new Trainer(
                            model,
                            TrainerTest.options(6)
                                    .withOptimiser(Mezo.Settings.defaults())
                                    .withAdapterDrop(drop),
                            TrainerTest.source(2))) {
                trainer.onStep((step, loss, rate, norm, speed) -> losses.add(loss));
                trainer.run();
                float[] whole = model.logits(batch());
                model.leaveOutAdapters(0);
                assertThat(model.logits(batch())).isEqualTo(whole);
            }
        }
        assertThat(losses.subList(0, 6)).isNotEqualTo(losses.subList(6, 12));
    }

    @Test
    void whatCannotBeLeftOutIsRefused() {
        Adapter paca =
                Paca.create(PeftPacaConfig.builder().rank(2).targets("q_proj").build());
        try (Llama model = model(DType.F32, paca)) {
            assertThatThrownBy(
                            () -> new Trainer(model, TrainerTest.options(2).withAdapterDrop(1), TrainerTest.source(2)))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("the weight of model.layers.0.self_attn.q_proj holds what its adapter does");
            assertThatThrownBy(() -> model.leaveOutAdapters(3)).hasMessageContaining("3 blocks, the model has 2");
            model.leaveOutAdapters(0);
        }
        Lora principal = ((Lora) adapter("lora")).startingFrom(LoraStart.PRINCIPAL);
        try (Llama model = model(DType.F32, principal)) {
            assertThatThrownBy(() -> model.leaveOutAdapters(1))
                    .hasMessageContaining("the weights have given up what Lora");
        }
        assertThatThrownBy(() -> TrainerTest.options(2).withAdapterDrop(-1))
                .hasMessageContaining("adapters of -1 blocks left out");
    }
}
