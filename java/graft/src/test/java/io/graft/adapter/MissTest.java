package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.PeftMissConfig;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.LowRank;
import io.graft.nn.Projection;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Weight;
import io.graft.train.AdamW;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** MiSS in a whole model; what it computes is compared with PEFT's in {@link PeftGoldenTest}. */
class MissTest {
    private static final List<String> ALL =
            List.of("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj");

    private static Miss miss(int rank) {
        return Miss.create(PeftMissConfig.of("base", ALL, rank, 0), 5);
    }

    private static Llama model(Scope scope, Adapter adapter, DType dtype, Weight.Kind base) {
        return Golden.load(
                scope, "llama_gqa", dtype, Llama.Options.training(adapter).withBase(base));
    }

    private static Batch batch() {
        return Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void startsAtTheBase(DType dtype) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama base = model(scope, null, dtype, Weight.Kind.DENSE);
                Llama tuned = model(scope, miss(5), dtype, Weight.Kind.DENSE)) {
            assertThat(tuned.logits(batch())).isEqualTo(base.logits(batch()));
        }
    }

    /** 5 divides neither 48 inputs nor 104: the last sum is short. */
    @Test
    void layersOfOneWidthShareTheSumsAndKeepNoInput() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama tuned = model(scope, miss(5), DType.F32, Weight.Kind.DENSE)) {
            Map<Long, List<Projection>> widths = tuned.projections().stream()
                    .collect(Collectors.groupingBy(p -> p.weight().k()));
            assertThat(widths).containsOnlyKeys(48L, 104L);
            widths.forEach((width, layers) -> {
                LowRank first = (LowRank) layers.get(0).attachment();
                assertThat(layers).allMatch(p -> ((LowRank) p.attachment()).a() == first.a() && !p.readsInput());
                float[] a = first.a().value().floats();
                for (int i = 0; i < a.length; i++) {
                    assertThat(a[i]).isEqualTo(i % width % 5 == i / width ? 1 : 0);
                }
            });
            assertThat(tuned.trainable()).hasSize(tuned.projections().size());
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = Weight.Kind.class,
            names = {"DENSE", "NF4"})
    void trainsAndComesBack(Weight.Kind base, @TempDir Path folder) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama tuned = model(scope, miss(4), DType.F32, base);
                AdamW optimiser = new AdamW(scope, tuned.trainable(), AdamW.Settings.defaults())) {
            float before = tuned.loss(batch());
            for (int i = 0; i < 5; i++) {
                tuned.zeroGradients();
                tuned.lossAndGradients(batch());
                optimiser.step(0.01);
                tuned.parametersChanged();
            }
            float after = tuned.loss(batch());
            assertThat(after).isLessThan(before - 0.1f);
            tuned.adapter().save(folder);
            Miss again = Miss.load(folder);
            assertThat(again.config().rank()).isEqualTo(4);
            try (Llama loaded = model(scope, again, DType.F32, base)) {
                assertThat(loaded.loss(batch())).isEqualTo(after);
                if (base == Weight.Kind.DENSE) {
                    loaded.merge();
                    assertThat(loaded.loss(batch())).isCloseTo(after, Offset.offset(1e-5f));
                }
            }
        }
    }

    @Test
    void moreSumsThanInputsAreRefused() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            assertThatThrownBy(() -> model(scope, miss(49), DType.F32, Weight.Kind.DENSE))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("Miss: r is 49, more than the 48 inputs of model.layers.0.self_attn.q_proj");
        }
    }
}
