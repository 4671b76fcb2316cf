package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.Adapter;
import io.graft.adapter.Full;
import io.graft.adapter.Lora;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** AdamW inside backward: the same bits as behind it, with the gradients of one block. */
class AdamWInBackwardTest {
    private static final int BLOCKS = 4;
    private static final AdamW.Settings BEHIND = AdamW.Settings.defaults().withMaxNorm(0);

    private record Result(List<Float> losses, List<Double> norms, List<float[]> masters, long gradients) {}

    private static Llama model(Scope scope, Adapter adapter, boolean tied, boolean checkpointing) {
        LlamaConfig config = LlamaConfig.llama(512, 32, 128, BLOCKS, 4, 2, 8, 64, 1e-6, tied);
        return Llama.create(
                scope, config, DType.BF16, 3, Llama.Options.training(adapter).withGradientCheckpointing(checkpointing));
    }

    private static Result run(Supplier<Adapter> adapter, AdamW.Settings settings, boolean tied, boolean checkpointing) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = model(scope, adapter.get(), tied, checkpointing);
                Trainer trainer = new Trainer(
                        model, Trainer.Options.of(4, 1e-2).withOptimiser(settings), TrainerTest.source(2))) {
            List<Float> losses = new ArrayList<>();
            List<Double> norms = new ArrayList<>();
            trainer.onStep((step, loss, rate, norm, speed) -> {
                losses.add(loss);
                norms.add(norm);
            });
            trainer.run();
            return new Result(
                    losses,
                    norms,
                    model.trainable().stream().map(one -> one.master().floats()).toList(),
                    context.peakMemory(Memory.GRADIENT));
        }
    }

    @ParameterizedTest
    @CsvSource({"true,false,false", "false,false,false", "true,true,false", "true,false,true", "false,true,true"})
    void theBitsAreThoseOfAStepBehindBackward(boolean tied, boolean checkpointing, boolean eightBit) {
        AdamW.Settings settings = BEHIND.withEightBit(eightBit);
        Result behind = run(Full::new, settings, tied, checkpointing);
        Result inside = run(Full::new, settings.withInBackward(true), tied, checkpointing);
        assertThat(inside.losses()).isEqualTo(behind.losses()).doesNotHaveDuplicates();
        for (int i = 0; i < behind.norms().size(); i++) {
            double norm = behind.norms().get(i);
            assertThat(inside.norms().get(i)).isCloseTo(norm, Offset.offset(1e-12 * norm));
        }
        for (int i = 0; i < behind.masters().size(); i++) {
            assertThat(inside.masters().get(i)).isEqualTo(behind.masters().get(i));
        }
        long block = 4 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 128 + 2 * 32);
        assertThat(behind.gradients() - inside.gradients()).isEqualTo((BLOCKS - 1) * block);
    }

    /** An adapter's parameters are none of the blocks' own, and are moved at the end. */
    @Test
    void adaptersAreMovedTheSame() {
        Supplier<Adapter> lora = () -> Lora.create(
                PeftLoraConfig.builder().rank(4).targets("q_proj", "down_proj").build(), 1);
        Result behind = run(lora, BEHIND, true, false);
        Result inside = run(lora, BEHIND.withInBackward(true), true, false);
        for (int i = 0; i < behind.masters().size(); i++) {
            assertThat(inside.masters().get(i)).isEqualTo(behind.masters().get(i));
        }
    }

    @Test
    void anInterruptedRunIsTheWholeOne(@TempDir Path folder) {
        Path file = folder.resolve("training.safetensors");
        AdamW.Settings settings = BEHIND.withEightBit(true).withInBackward(true);
        List<float[]> whole = run(Full::new, settings, true, false).masters();
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            try (Llama model = model(scope, new Full(), true, false);
                    Trainer trainer = trainer(model, 3, settings)) {
                trainer.run();
                trainer.save(file);
            }
            try (Llama model = model(scope, new Full(), true, false);
                    Trainer trainer = trainer(model, 4, settings)) {
                trainer.resume(file);
                trainer.run();
                for (int i = 0; i < whole.size(); i++) {
                    assertThat(model.trainable().get(i).master().floats()).isEqualTo(whole.get(i));
                }
            }
        }
    }

    @Test
    void whatCannotBeSaysSo() {
        AdamW.Settings settings = BEHIND.withInBackward(true);
        assertThatThrownBy(() -> settings.withMaxNorm(1)).hasMessageContaining("to the norm 1.0");
        assertThatThrownBy(() -> settings.withGalore(Galore.Settings.of(4))).hasMessageContaining("projected");
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            try (Llama model = model(scope, new Full(), true, false)) {
                Trainer.Options options =
                        Trainer.Options.of(4, 1e-2).withOptimiser(settings).withAccumulation(2);
                assertThatThrownBy(() -> new Trainer(model, options, TrainerTest.source(2)))
                        .hasMessageContaining("gradients of 2 batches cannot accumulate");
            }
            try (Llama model = model(scope, new Full().withGradientMask(0.5, 1), true, false)) {
                assertThatThrownBy(() -> trainer(model, 4, settings))
                        .hasMessageContaining(
                                "Full looks at gradients, of which there are none with AdamW in backward");
            }
        }
    }

    private static Trainer trainer(Llama model, int steps, AdamW.Settings settings) {
        return new Trainer(model, Trainer.Options.of(steps, 1e-2).withOptimiser(settings), TrainerTest.source(2));
    }
}
