package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.FormatException;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftConfig;
import io.graft.io.PeftLnTuningConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftPrefixTuningConfig;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.train.AdamW;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Several adapters at once: each with the gradients that are its own, and each in its own folder. */
class CombinedTest extends InContext {
    private static Batch batch() {
        return Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);
    }

    private Llama model(Adapter adapter) {
        return Golden.load(scope, "llama_gqa", DType.F32, Llama.Options.training(adapter));
    }

    private static Adapter prefix() {
        return PrefixTuning.create(PeftPrefixTuningConfig.of("", 3), 4);
    }

    private static Adapter networks() {
        return Bottleneck.create(PeftBottleneckConfig.of("", List.of("down_proj"), 5, true), 4);
    }

    private static Adapter lora(String target) {
        return Lora.create(PeftLoraConfig.builder().rank(3).targets(target).build(), 4);
    }

    private static Map<String, Adapter> parts(Adapter first, Adapter second) {
        Map<String, Adapter> parts = new LinkedHashMap<>();
        parts.put("first", first);
        parts.put("second", second);
        return parts;
    }

    private void train(Llama model) {
        try (AdamW optimiser = new AdamW(scope, model.trainable(), AdamW.Settings.defaults())) {
            for (int step = 0; step < 3; step++) {
                model.zeroGradients();
                model.lossAndGradients(batch());
                optimiser.step(1e-2);
                model.parametersChanged();
            }
        }
    }

    @Test
    void bothLearnAndAreReadAgain(@TempDir Path folder) {
        try (Llama alone = model(prefix());
                Llama model = model(Combined.of(parts(prefix(), networks())))) {
            float start = alone.loss(batch());
            assertThat(model.loss(batch())).isEqualTo(start); // fresh networks are the identity
            alone.lossAndGradients(batch());
            model.lossAndGradients(batch());
            Parameter rows = alone.trainable().get(0);
            assertThat(model.trainable().get(0).gradient().floats())
                    .isEqualTo(rows.gradient().floats());
            assertThat(model.trainable()).hasSize(1 + 2 * model.projections().size() / 7);
            train(model);
            float after = model.loss(batch());
            assertThat(after).isLessThan(start - 0.05f);
            for (Parameter parameter : model.trainable()) {
                assertThat(model.adapter().key(parameter)).containsAnyOf("prompt_embeddings", "down_proj.adapter_");
            }
            model.adapter().save(folder);
            assertThat(folder.resolve("second").resolve(PeftConfig.FILE)).exists();
            try (Llama loaded = model(Combined.load(
                    folder, part -> part.endsWith("first") ? PrefixTuning.frozen(part) : Bottleneck.frozen(part)))) {
                assertThat(loaded.loss(batch())).isEqualTo(after);
                assertThat(loaded.trainable()).isEmpty();
                assertThatThrownBy(loaded::merge)
                        .isInstanceOf(UnsupportedOperationException.class)
                        .hasMessage("merge: no weight can hold the adapter 'first'");
            }
        }
    }

    @Test
    void partsThatAreWeightsAreMerged() {
        Map<String, Adapter> parts = parts(lora("q_proj"), LnTuning.create(PeftLnTuningConfig.allNorms("")));
        try (Llama model = model(Combined.of(parts))) {
            train(model);
            float before = model.loss(batch());
            model.merge();
            assertThat(model.loss(batch())).isCloseTo(before, org.assertj.core.data.Offset.offset(1e-5f));
            assertThat(model.trainable()).isEmpty();
        }
    }

    @Test
    void whatDoesNotGoTogetherIsRefused() {
        assertThatThrownBy(() -> model(Combined.of(parts(lora("q_proj"), lora("q_proj")))))
                .hasMessageContaining("q_proj already has an adapter");
        assertThatThrownBy(() -> model(Combined.of(parts(prefix(), prefix())))).hasMessageContaining("2 prefixes");
        assertThatThrownBy(() -> Combined.of(Map.of("one", prefix()))).hasMessageContaining("not several");
    }

    @ParameterizedTest
    @ValueSource(strings = {"\"..\"", "\"a/b\"", "3", "\"x\", \"x\"", "\"\""})
    void foldersElsewhereAreRefused(String names, @TempDir Path folder) throws IOException {
        Files.writeString(
                folder.resolve(PeftConfig.FILE), "{\"peft_type\": \"COMBINED\", \"adapters\": [" + names + "]}");
        assertThatThrownBy(() -> Combined.load(folder, Lora::load))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("the name of another folder beside it");
    }
}
