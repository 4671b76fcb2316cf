package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.Lora;
import io.graft.adapter.LoraStart;
import io.graft.io.PeftLoraConfig;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** PeriodicLoRA: the model goes on where it was, the file holds all periods, and interruptions change nothing. */
class PeriodicMergingTest {
    private static final Batch BATCH = Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);

    private static PeftLoraConfig config(boolean stabilised) {
        return PeftLoraConfig.builder()
                .rank(2)
                .alpha(3)
                .rankPattern(Map.of("o_proj", 3))
                .rankStabilised(stabilised)
                .targets("q_proj", "o_proj", "down_proj")
                .build();
    }

    private static Llama model(Scope scope) {
        return Golden.load(
                scope,
                "llama_tied",
                Llama.Options.training(Lora.create(config(false), 3).withPeriod(3)));
    }

    private static Trainer trainer(Llama model, long steps) {
        return new Trainer(model, Trainer.Options.of(steps, 1e-2), TrainerTest.source(2));
    }

    /** After each third step but the last the factors are fresh, and the loss is what it was. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theFileOfAllPeriodsIsTheModel(boolean stabilised, @TempDir Path folder) {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = Golden.load(
                        scope,
                        "llama_tied",
                        Llama.Options.training(
                                Lora.create(config(stabilised), 3).withPeriod(3)));
                Trainer trainer = trainer(model, 9)) {
            float[] fresh = model.trainable().get(0).value().floats();
            for (int step = 1; step <= 9; step++) {
                trainer.step();
                boolean merged = step % 3 == 0 && step < 9;
                boolean zero = Arrays.equals(
                        model.trainable().get(1).value().floats(),
                        new float[model.trainable().get(1).value().floats().length]);
                assertThat(zero).as("step %d", step).isEqualTo(merged);
                if (merged) {
                    assertThat(model.trainable().get(0).value().floats()).isNotEqualTo(fresh);
                    assertThat(trainer.optimiser()
                                    .moments(model.trainable().get(0))
                                    .get(0)
                                    .floats())
                            .containsOnly(0);
                }
            }
            float loss = model.loss(BATCH);
            model.adapter().save(folder);
            PeftLoraConfig written = PeftLoraConfig.read(folder);
            assertThat(written.rank("model.layers.0.self_attn.q_proj")).isEqualTo(6);
            assertThat(written.rank("model.layers.0.self_attn.o_proj")).isEqualTo(9);
            try (Llama base = Golden.load(scope, "llama_tied", Llama.Options.inference());
                    Llama loaded = Golden.load(scope, "llama_tied", Llama.Options.training(Lora.frozen(folder)))) {
                assertThat(loaded.loss(BATCH)).isCloseTo(loss, Offset.offset(2e-5f));
                assertThat(Math.abs(base.loss(BATCH) - loss)).isGreaterThan(0.01f);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 7})
    void anInterruptedRunIsTheWholeOne(int stop, @TempDir Path folder) {
        Path file = folder.resolve("training.safetensors");
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama whole = model(scope);
                Trainer uninterrupted = trainer(whole, 8);
                Llama first = model(scope);
                Trainer begun = trainer(first, 8);
                Llama second = model(scope);
                Trainer resumed = trainer(second, 8)) {
            uninterrupted.run();
            for (int i = 0; i < stop; i++) {
                begun.step();
            }
            begun.save(file);
            resumed.resume(file);
            resumed.run();
            for (int i = 0; i < whole.trainable().size(); i++) {
                assertThat(second.trainable().get(i).value().floats())
                        .isEqualTo(whole.trainable().get(i).value().floats());
            }
            assertThat(second.loss(BATCH)).isEqualTo(whole.loss(BATCH));
        }
    }

    @Test
    void whatCannotTakeProductsInIsRefused() {
        assertThatThrownBy(() -> Lora.create(config(false), 1).withPeriod(0)).hasMessageContaining("period of 0");
        assertThatThrownBy(() -> Lora.create(config(false), 1)
                        .startingFrom(LoraStart.PRINCIPAL)
                        .withPeriod(5))
                .hasMessageContaining("starts from zero only");
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Llama.Options options = Llama.Options.training(
                            Lora.create(config(false), 1).withPeriod(5))
                    .withBase(Weight.Kind.NF4);
            assertThatThrownBy(() -> Golden.load(scope, "llama_tied", DType.F32, options))
                    .hasMessageContaining("is NF4");
        }
    }
}
