package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.Adapter;
import io.graft.adapter.Full;
import io.graft.adapter.Paca;
import io.graft.adapter.Reselection;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftPacaConfig;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.ops.Random;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** AdamW with moments of 8 bits: near AdamW, in bytes, and over interruptions. */
class AdamW8BitTest {
    private static final AdamW.Settings SETTINGS = AdamW.Settings.defaults().withEightBit(true);

    /** Its embedding and its MLP are large enough for 8 bits, its attention and norms are not. */
    private static Llama model(Scope scope) {
        LlamaConfig config = LlamaConfig.llama(512, 32, 128, 2, 4, 4, 8, 64, 1e-6, true);
        return Llama.create(scope, config, DType.BF16, 3, Llama.Options.training(new Full()));
    }

    private static Parameter parameter(Scope scope, DType dtype, long... shape) {
        Tensor value = scope.tensor(Memory.ADAPTER, dtype, shape);
        Random.normal(scope.context(), 1, 0, 0, 1, value);
        return new Parameter("w" + value.elements(), value).train(scope);
    }

    /** The same gradients for both: where they go differs by some percent of the way. */
    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void goesNearlyWhereAdamWGoes(DType dtype) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope()) {
            Parameter eight = parameter(scope, dtype, 70, 100);
            Parameter wide = parameter(scope, dtype, 70, 100);
            double[] start = wide.master().doubles();
            try (AdamW narrow = new AdamW(scope, List.of(eight), SETTINGS);
                    AdamW plain = new AdamW(scope, List.of(wide), AdamW.Settings.defaults())) {
                for (int step = 1; step <= 30; step++) {
                    for (Parameter one : List.of(eight, wide)) {
                        Random.normal(context, 2, 1000L * step, 0, 1, one.gradient());
                    }
                    assertThat(narrow.step(1e-2)).isEqualTo(plain.step(1e-2));
                }
            }
            double[] a = eight.master().doubles();
            double[] b = wide.master().doubles();
            double apart = 0;
            double moved = 0;
            for (int i = 0; i < a.length; i++) {
                apart += Math.pow(a[i] - b[i], 2);
                moved += Math.pow(b[i] - start[i], 2);
            }
            assertThat(Math.sqrt(apart / moved)).isBetween(1e-6, 0.05);
            float[] copy = eight.value().floats();
            float[] master = eight.master().floats();
            for (int i = 0; i < copy.length; i++) {
                assertThat(copy[i]).isCloseTo(master[i], Offset.offset(Math.abs(master[i]) / 256));
            }
        }
    }

    @Test
    void theStateIsABytePerMomentAndAScalePerBlock() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            List<Parameter> parameters = new ArrayList<>();
            parameters.add(parameter(scope, DType.F32, 65, 100));
            parameters.add(parameter(scope, DType.F32, 4095));
            long before = context.memory(Memory.OPTIMIZER);
            try (AdamW optimiser = new AdamW(scope, parameters, SETTINGS)) {
                long blocks = (6500 + 255) / 256;
                assertThat(context.memory(Memory.OPTIMIZER) - before).isEqualTo(2 * (6500 + 4 * blocks + 4 * 4095) + 8);
                assertThat(optimiser.state()).hasSize(6);
                assertThat(optimiser.moments(parameters.get(1))).hasSize(2);
                assertThatThrownBy(() -> optimiser.moments(parameters.get(0)))
                        .isInstanceOf(UnsupportedOperationException.class)
                        .hasMessageContaining("moments of w6500 are kept in 8 bits");
            }
        }
        assertThatThrownBy(() -> SETTINGS.withGalore(Galore.Settings.of(4))).hasMessageContaining("8 bits");
    }

    @Test
    void anInterruptedRunIsTheWholeOne(@TempDir Path folder) {
        Path file = folder.resolve("training.safetensors");
        int whole;
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = model(scope);
                Trainer trainer = trainer(model, 6)) {
            trainer.run();
            whole = bits(model);
            assertThat(trainer.optimiser().state().keySet().stream().filter(key -> key.startsWith("m_scale/")))
                    .hasSize(1 + 2 * 3);
        }
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            try (Llama model = model(scope);
                    Trainer trainer = trainer(model, 4)) {
                trainer.run();
                trainer.save(file);
            }
            try (Llama model = model(scope);
                    Trainer trainer = trainer(model, 6)) {
                trainer.resume(file);
                trainer.run();
                assertThat(bits(model)).isEqualTo(whole);
            }
            try (Llama model = model(scope);
                    Trainer trainer = new Trainer(model, Trainer.Options.of(6, 1e-2), TrainerTest.source(2))) {
                assertThatThrownBy(() -> trainer.resume(file)).hasMessageContaining("number of tensors");
            }
        }
    }

    @Test
    void aMethodThatChangesMomentsSaysSo() {
        Adapter paca = Paca.create(
                        PeftPacaConfig.builder().rank(2).targets("q_proj").build())
                .reselecting(2, Reselection.RANDOM);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_tied", Llama.Options.training(paca))) {
            assertThatThrownBy(() -> trainer(model, 4))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("Paca changes moments while it trains, which AdamW keeps in 8 bits here");
        }
    }

    private static Trainer trainer(Llama model, int steps) {
        return new Trainer(model, Trainer.Options.of(steps, 1e-2).withOptimiser(SETTINGS), TrainerTest.source(2));
    }

    private static int bits(Llama model) {
        return Arrays.hashCode(model.trainable().stream()
                .mapToInt(one -> Arrays.hashCode(one.master().floats()))
                .toArray());
    }
}
