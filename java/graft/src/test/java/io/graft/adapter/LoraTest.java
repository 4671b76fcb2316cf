package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.PeftLoraConfig;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.train.AdamW;
import java.nio.file.Path;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The variants of LoRA that change training and not the layer: LoRA+ and LoRA-FA. */
class LoraTest {
    private static final String[] ALL = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};

    private static Lora lora() {
        return Lora.create(PeftLoraConfig.builder().rank(4).targets(ALL).build(), 5);
    }

    private static Llama model(Scope scope, Adapter adapter) {
        return Golden.load(scope, "llama_gqa", DType.F32, Llama.Options.training(adapter));
    }

    private static Batch batch() {
        return Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);
    }

    /** AdamW's first step moves each element by the rate. */
    @Test
    void theRateRatioIsThatOfBOverA() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = model(scope, lora().withRateRatio(16));
                AdamW optimiser = new AdamW(
                        scope, model.trainable(), AdamW.Settings.defaults().withWeightDecay(0))) {
            for (int step = 0; step < 2; step++) { // B is zero in the first, so that A has no gradient
                List<float[]> before =
                        model.trainable().stream().map(p -> p.master().floats()).toList();
                model.zeroGradients();
                model.lossAndGradients(batch());
                optimiser.step(1e-4);
                model.parametersChanged();
                for (int i = 0; i < before.size(); i++) {
                    Parameter parameter = model.trainable().get(i);
                    boolean up = parameter.name().contains("lora_B");
                    if (step == 0 && up) {
                        float moved = Math.abs(parameter.master().floats()[0] - before.get(i)[0]);
                        assertThat(moved).as(parameter.name()).isCloseTo(16e-4f, Offset.offset(1e-5f));
                    }
                    assertThat(parameter.rateFactor()).as(parameter.name()).isEqualTo(up ? 16 : 1);
                }
            }
        }
    }

    @Test
    void aFrozenAIsSavedAndNeedsNoInputs(@TempDir Path folder) throws Exception {
        try (Context plain = Context.cpu(2);
                Context frozen = Context.cpu(2);
                Scope plainScope = plain.scope();
                Scope frozenScope = frozen.scope();
                Llama lora = model(plainScope, lora());
                Llama fa = model(frozenScope, lora().withFrozenDown())) {
            float loss = lora.lossAndGradients(batch());
            assertThat(fa.lossAndGradients(batch())).isEqualTo(loss);
            assertThat(fa.trainable()).allMatch(p -> p.name().contains("lora_B"));
            assertThat(fa.trainable()).hasSize(lora.trainable().size() / 2);
            for (Parameter parameter : fa.trainable()) {
                Parameter same = lora.trainable().stream()
                        .filter(p -> p.name().equals(parameter.name()))
                        .findFirst()
                        .orElseThrow();
                assertThat(parameter.gradient().floats())
                        .isEqualTo(same.gradient().floats());
            }
            // The outputs of both norms and the MLP's inner activation of each block; the attention's output is kept
            // anyhow.
            Projection down = fa.projections().stream()
                    .filter(p -> p.module().endsWith("down_proj"))
                    .findFirst()
                    .orElseThrow();
            long rows = 7;
            long row = 2 * Precision.pitch(down.weight().n(), down.border())
                    + Precision.pitch(down.weight().k(), down.border());
            long blocks = fa.projections().size() / ALL.length;
            assertThat(plain.memory(Memory.ACTIVATION) - frozen.memory(Memory.ACTIVATION))
                    .isEqualTo(blocks * rows * row * Float.BYTES);
            fa.adapter().save(folder);
            try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftAdapter.FILE))) {
                assertThat(file.names()).hasSize(2 * fa.projections().size()).anyMatch(name -> name.contains("lora_A"));
            }
        }
    }

    @Test
    void aRatioMustBePositive() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            assertThatThrownBy(() -> model(scope, lora().withRateRatio(0)))
                    .hasMessageContaining("rate factor 0.0 must be positive");
        }
    }

    /** Masks are zero or 1 / (1 - p): evaluation is plain LoRA, a batch has its own, and their mean is the whole. */
    @Test
    void droppedFactorsAreAPartOfTheWhole() {
        PeftLoraConfig config = PeftLoraConfig.parse("test", """
                {"peft_type": "LORA", "r": 3, "lora_alpha": 3, "init_lora_weights": false, "target_modules": ["q_proj"]}""");
        Batch batch = Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama plain = Golden.load(scope, "llama_gqa", Llama.Options.training(Lora.create(config, 2)));
                Llama dropped = Golden.load(
                        scope,
                        "llama_gqa",
                        Llama.Options.training(Lora.create(config, 2).withFactorDropout(0.5)))) {
            assertThat(dropped.loss(batch)).isCloseTo(plain.loss(batch), Offset.offset(1e-6f));
            float first = dropped.lossAndGradients(batch, 0, 1, 0);
            float[] a = dropped.trainable().get(0).gradient().floats();
            int width = 48;
            int zero = 0;
            for (int j = 0; j < width; j++) {
                boolean none = a[j] == 0 && a[width + j] == 0 && a[2 * width + j] == 0;
                assertThat(none || a[j] != 0 && a[width + j] != 0).isTrue();
                zero += none ? 1 : 0;
            }
            assertThat(zero).isBetween(12, 36);
            assertThat(dropped.lossAndGradients(batch, 0, 1, 0)).isEqualTo(first);
            assertThat(dropped.lossAndGradients(batch, 0, 1, 1)).isNotEqualTo(first);
        }
        assertThatThrownBy(() -> Lora.create(config, 2).withFactorDropout(1)).hasMessageContaining("factors of 1.0");
    }
}
