package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.Full;
import io.graft.io.LlamaConfig;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** bf16 parameters without masters: in bytes, beside masters, inside backward and over interruptions. */
class StochasticRoundingTest {
    private static final AdamW.Settings PLAIN = AdamW.Settings.defaults().withMaxNorm(0);

    private record Result(List<Float> losses, List<float[]> values, long masters) {}

    private static Llama model(Scope scope, Full method) {
        LlamaConfig config = LlamaConfig.llama(512, 32, 128, 2, 4, 4, 8, 64, 1e-6, true);
        return Llama.create(scope, config, DType.BF16, 3, Llama.Options.training(method));
    }

    private static Trainer trainer(Llama model, OptimiserSettings settings, int steps) {
        return new Trainer(model, Trainer.Options.of(steps, 1e-3).withOptimiser(settings), TrainerTest.source(2));
    }

    private static List<float[]> values(Llama model) {
        return model.trainable().stream().map(one -> one.value().floats()).toList();
    }

    private static Result run(Full method, AdamW.Settings settings, int threads) {
        try (Context context = Context.cpu(threads);
                Scope scope = context.scope();
                Llama model = model(scope, method);
                Trainer trainer = trainer(model, settings, 12)) {
            List<Float> losses = new ArrayList<>();
            trainer.onStep((step, loss, rate, norm, speed) -> losses.add(loss));
            trainer.run();
            return new Result(losses, values(model), context.peakMemory(Memory.ADAPTER));
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void itLearnsAsWithMastersInTheirPlace(boolean eightBit) {
        AdamW.Settings settings = PLAIN.withEightBit(eightBit);
        Result with = run(new Full(), settings, 2);
        Result without = run(new Full().withoutMasters(), settings, 2);
        long matrices = 512 * 32 + 2 * (4 * 32 * 32 + 3 * 32 * 128);
        assertThat(with.masters() - without.masters()).isGreaterThanOrEqualTo(4 * matrices);
        assertThat(without.losses().get(0)).isEqualTo(with.losses().get(0));
        for (int i = 0; i < with.losses().size(); i++) {
            assertThat(without.losses().get(i)).isCloseTo(with.losses().get(i), Offset.offset(0.02f));
        }
        assertThat(with.losses().get(11)).isLessThan(with.losses().get(0) - 0.05f);
        assertThat(Arrays.equals(without.values().get(0), with.values().get(0))).isFalse();
    }

    @Test
    void theBitsAreThoseOfAnyThreadsAndOfBackward() {
        Result one = run(new Full().withoutMasters(), PLAIN, 1);
        for (AdamW.Settings settings : List.of(PLAIN, PLAIN.withInBackward(true))) {
            Result two = run(new Full().withoutMasters(), settings, 2);
            assertThat(two.losses()).isEqualTo(one.losses());
            for (int i = 0; i < one.values().size(); i++) {
                assertThat(two.values().get(i)).isEqualTo(one.values().get(i));
            }
        }
    }

    @Test
    void anInterruptedRunIsTheWholeOne(@TempDir Path folder) {
        Path file = folder.resolve("training.safetensors");
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama whole = model(scope, new Full().withoutMasters());
                Llama first = model(scope, new Full().withoutMasters());
                Llama second = model(scope, new Full().withoutMasters())) {
            try (Trainer trainer = trainer(whole, PLAIN, 6)) {
                trainer.run();
            }
            try (Trainer trainer = trainer(first, PLAIN, 4)) {
                trainer.run();
                trainer.save(file);
            }
            try (Trainer trainer = trainer(second, PLAIN, 6)) {
                trainer.resume(file);
                trainer.run();
            }
            assertThat(values(second)).usingRecursiveComparison().isEqualTo(values(whole));
        }
    }

    @Test
    void optimisersThatNeedMastersSaySo() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = model(scope, new Full().withoutMasters())) {
            for (OptimiserSettings settings :
                    List.<OptimiserSettings>of(PLAIN.withGalore(Galore.Settings.of(4)), new Mezo.Settings(1e-3, 1))) {
                assertThatThrownBy(() -> trainer(model, settings, 2))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining("model.embed_tokens.weight")
                        .hasMessageContaining("has no master");
            }
        }
    }
}
