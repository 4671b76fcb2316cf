package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.LlamaConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftLstConfig;
import io.graft.io.PeftPrefixTuningConfig;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Weight;
import io.graft.train.AdamW;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A network beside the model: it learns, in any number of threads alike, and the model's backward never runs. */
class LstTest {
    private static final Batch BATCH = Batch.of(2, 7, new int[] {1, 7, 3, 9, 4, 30, 11, 1, 8, 3, 2, 5, 31, 12}, null);

    private static Lst lst() {
        return Lst.create(PeftLstConfig.of("base", 2), 5);
    }

    private static Llama model(Scope scope, DType dtype, Adapter adapter, Weight.Kind base) {
        return Golden.load(
                scope, "llama_gqa", dtype, Llama.Options.training(adapter).withBase(base));
    }

    private static void train(Scope scope, Llama model, int steps) {
        try (AdamW optimiser = new AdamW(scope, model.trainable(), AdamW.Settings.defaults())) {
            for (int step = 0; step < steps; step++) {
                model.zeroGradients();
                model.lossAndGradients(BATCH);
                optimiser.step(2e-2);
                model.parametersChanged();
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"F32,DENSE", "BF16,DENSE", "F32,NF4"})
    void stepZeroIsTheBaseModelAndTheLossFalls(DType dtype, Weight.Kind base, @TempDir Path folder) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama plain = model(scope, dtype, null, base);
                Llama model = model(scope, dtype, lst(), base)) {
            assertThat(model.logits(BATCH)).isEqualTo(plain.logits(BATCH));
            float before = model.loss(BATCH);
            train(scope, model, 8);
            float after = model.loss(BATCH);
            assertThat(after).isLessThan(before - 0.5f);
            model.adapter().save(folder);
            try (Llama loaded = model(scope, dtype, Lst.frozen(folder), base);
                    Llama further = model(scope, dtype, Lst.load(folder), base)) {
                assertThat(loaded.loss(BATCH)).isEqualTo(after);
                assertThat(loaded.trainable()).isEmpty();
                assertThat(further.loss(BATCH)).isEqualTo(after);
                for (int i = 0; i < further.trainable().size(); i++) {
                    assertThat(further.trainable().get(i).master().floats())
                            .isEqualTo(model.trainable().get(i).master().floats());
                }
            }
        }
    }

    @Test
    void bitsAreTheSameForAnyNumberOfThreads() {
        assertThat(bits(3)).isEqualTo(bits(1));
    }

    private static List<Integer> bits(int threads) {
        try (Context context = Context.cpu(threads);
                Scope scope = context.scope();
                Llama model = model(scope, DType.F32, lst(), Weight.Kind.DENSE)) {
            train(scope, model, 3);
            return model.trainable().stream()
                    .map(one -> Arrays.hashCode(one.master().floats()))
                    .toList();
        }
    }

    /** Of the model's blocks only their inputs are kept: activations of 12 layers are a small part of LoRA's. */
    @Test
    void backwardKeepsLittleOfTheModel() {
        LlamaConfig config = LlamaConfig.llama(64, 64, 160, 12, 4, 4, 16, 64, 1e-5, true);
        Batch batch = new Batch();
        batch.resize(4, 32);
        long rows = 4 * 32;
        long side = activations(config, Lst.create(PeftLstConfig.of("base", 8), 1), batch);
        long lora = activations(
                config,
                Lora.create(
                        PeftLoraConfig.builder()
                                .rank(4)
                                .rankPattern(Map.of())
                                .targets(LlamaConfig.PROJECTIONS.toArray(String[]::new))
                                .build(),
                        1),
                batch);
        assertThat(side).isLessThan(lora / 2);
        // A thirteenth residual stream and one block's buffers, with the narrow network's own.
        assertThat(side).isGreaterThan(13 * rows * 64 * 4);
    }

    private static long activations(LlamaConfig config, Adapter adapter, Batch batch) {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = Llama.create(scope, config, DType.F32, 3, Llama.Options.training(adapter))) {
            context.resetPeak();
            model.lossAndGradients(batch);
            return context.peakMemory(Memory.ACTIVATION);
        }
    }

    @Test
    void whatDoesNotGoTogetherIsRefused() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = model(scope, DType.F32, lst(), Weight.Kind.DENSE)) {
            assertThatThrownBy(model::merge).hasMessageContaining("in no weight");
            Adapter both = Combined.of(
                    Map.of("side", lst(), "prefix", PrefixTuning.create(PeftPrefixTuningConfig.of("base", 3), 1)));
            assertThatThrownBy(() -> model(scope, DType.F32, both, Weight.Kind.DENSE))
                    .hasMessageContaining("a side network and a prefix do not go together");
        }
        assertThatThrownBy(() -> PeftLstConfig.of("base", 0)).hasMessageContaining("'reduction_factor' is 0");
    }
}
