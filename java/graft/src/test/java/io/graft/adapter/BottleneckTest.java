package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.graft.io.FormatException;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Generator;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Bottleneck adapters on a whole model; that their gradients are right is shown by the gradient check of the model. */
class BottleneckTest extends InContext {
    private static Batch batch() {
        return Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);
    }

    private Llama model(DType dtype, Adapter adapter) {
        return Golden.load(scope, "llama_gqa", dtype, Llama.Options.training(adapter));
    }

    private static Bottleneck fresh(boolean parallel, String... targets) {
        return Bottleneck.create(PeftBottleneckConfig.of("base", List.of(targets), 5, parallel), 2);
    }

    private static void move(Llama model) {
        for (Parameter parameter : model.trainable()) {
            float[] values = parameter.master().floats();
            for (int i = 0; i < values.length; i++) {
                values[i] += 0.03f * (i % 7 - 2);
            }
            parameter.master().set(values);
            parameter.refreshValue();
        }
        model.parametersChanged();
    }

    @ParameterizedTest
    @CsvSource({"F32, true", "F32, false", "BF16, true", "BF16, false"})
    void startsAtTheBaseAndTrainsTwoMatricesOfEachTarget(DType dtype, boolean parallel) {
        float base;
        try (Llama model = model(dtype, null)) {
            base = model.loss(batch());
        }
        try (Llama model = model(dtype, fresh(parallel, "o_proj", "down_proj"))) {
            assertThat(model.loss(batch())).isEqualTo(base, within(dtype == DType.F32 ? 0 : 0.02f));
            assertThat(model.trainable()).hasSize(8);
            move(model);
            float moved = model.lossAndGradients(batch());
            assertThat(moved).isNotEqualTo(base);
            // Inference keeps nothing, and yet computes the same.
            assertThat(model.loss(batch())).isEqualTo(moved);
            assertThat(model.trainable())
                    .allMatch(parameter -> parameter.gradient().dtype() == DType.F32);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void generationIsThatOfWholePasses(boolean parallel) {
        try (Llama model = model(DType.F32, fresh(parallel, "o_proj", "down_proj"));
                Generator generator = new Generator(model)) {
            move(model);
            int[] made = generator.greedy(new int[] {1, 7, 3}, 3);
            float[] logits = model.logits(Batch.of(1, 5, new int[] {1, 7, 3, made[0], made[1]}, null));
            int vocabulary = model.config().vocabularySize();
            float best = logits[4 * vocabulary + made[2]];
            for (int i = 0; i < vocabulary; i++) {
                assertThat(logits[4 * vocabulary + i]).isLessThanOrEqualTo(best);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void filesComeBack(boolean parallel, @TempDir Path folder) {
        try (Llama model = model(DType.BF16, fresh(parallel, "o_proj", "down_proj"))) {
            move(model);
            float loss = model.loss(batch());
            model.adapter().save(folder);
            try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftAdapter.FILE))) {
                String key = "base_model.model.model.layers.1.mlp.down_proj.adapter_";
                int in = parallel
                        ? model.config().intermediateSize()
                        : model.config().hiddenSize();
                assertThat(file.names()).hasSize(8);
                assertThat(file.shape(key + "down.weight")).containsExactly(5, in);
                assertThat(file.shape(key + "up.weight"))
                        .containsExactly(model.config().hiddenSize(), 5);
                assertThat(file.dtype(key + "up.weight")).isEqualTo(DType.F32);
            }
            try (Llama again = model(DType.BF16, Bottleneck.frozen(folder))) {
                assertThat(again.loss(batch())).isEqualTo(loss);
            }
            try (Llama again = model(DType.BF16, Bottleneck.load(folder))) {
                assertThat(again.loss(batch())).isEqualTo(loss);
                assertThat(again.trainable().get(1).master().floats())
                        .isEqualTo(model.trainable().get(1).master().floats());
            }
        }
    }

    @Test
    void whatIsNotComputedIsRefused() {
        assertThatThrownBy(() -> model(DType.F32, fresh(false, "up_proj")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("up_proj is not supported in a serial adapter");
        try (Llama model = model(DType.F32, fresh(true, "up_proj"))) {
            assertThatThrownBy(model::merge)
                    .isInstanceOf(UnsupportedOperationException.class)
                    .hasMessageContaining("in no weight");
        }
        assertThatThrownBy(() -> PeftBottleneckConfig.parse("test", """
                        {"peft_type": "BOTTLENECK", "non_linearity": "gelu"}"""))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("field 'non_linearity' is 'gelu', supported are relu and tanh");
        assertThatThrownBy(() -> PeftBottleneckConfig.parse("test", """
                        {"peft_type": "BOTTLENECK", "scaling": 4}"""))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("field 'scaling' is 4.0, supported is 1.0");
    }
}
