package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.PeftBitFitConfig;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Memory;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** BitFit on a whole model; that its gradients are right is shown by the gradient check of the model. */
class BitFitTest extends InContext {
    private static Batch batch() {
        return Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);
    }

    private Llama model(DType dtype, Adapter adapter) {
        return Golden.load(scope, "llama_gqa", dtype, Llama.Options.training(adapter));
    }

    private static BitFit fresh(String... targets) {
        return BitFit.create(PeftBitFitConfig.of("base", List.of(targets)));
    }

    private static void move(Llama model) {
        float step = 0.1f;
        for (Parameter parameter : model.trainable()) {
            float[] values = parameter.value().floats();
            for (int i = 0; i < values.length; i++) {
                values[i] += step * (1 + i % 3);
            }
            parameter.value().set(values);
        }
        model.parametersChanged();
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void startsAtTheBaseAndKeepsNothing(DType dtype) {
        float base;
        long memory;
        try (Llama model = model(dtype, new Full("model.layers.0.input_layernorm.weight"::equals))) {
            base = model.lossAndGradients(batch());
            memory = context.memory(Memory.ACTIVATION);
        }
        try (Llama model = model(dtype, fresh("k_proj", "o_proj", "down_proj"))) {
            assertThat(model.lossAndGradients(batch())).isEqualTo(base);
            assertThat(context.memory(Memory.ACTIVATION)).isEqualTo(memory);
            assertThat(model.trainable())
                    .hasSize(6)
                    .allMatch(parameter -> parameter.name().endsWith(".bias"));
            move(model);
            assertThat(model.lossAndGradients(batch())).isNotEqualTo(base);
        }
    }

    @Test
    void aFileHasABiasForEachTarget(@TempDir Path folder) {
        try (Llama model = model(DType.F32, fresh("q_proj", "down_proj"))) {
            move(model);
            float loss = model.loss(batch());
            model.adapter().save(folder);
            try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftAdapter.FILE))) {
                assertThat(file.names())
                        .containsExactlyInAnyOrder(
                                "base_model.model.model.layers.0.self_attn.q_proj.bias",
                                "base_model.model.model.layers.0.mlp.down_proj.bias",
                                "base_model.model.model.layers.1.self_attn.q_proj.bias",
                                "base_model.model.model.layers.1.mlp.down_proj.bias");
            }
            try (Llama again = model(DType.F32, BitFit.load(folder))) {
                assertThat(again.loss(batch())).isEqualTo(loss);
                assertThat(again.trainable()).hasSize(4);
            }
            try (Llama again = model(DType.F32, BitFit.frozen(folder))) {
                assertThat(again.loss(batch())).isEqualTo(loss);
                assertThat(again.trainable()).isEmpty();
            }
        }
    }

    @Test
    void mergingIsRefusedAndChangesNothing() {
        try (Llama model = model(DType.F32, fresh("q_proj"))) {
            move(model);
            float loss = model.loss(batch());
            assertThatThrownBy(model::merge)
                    .isInstanceOf(UnsupportedOperationException.class)
                    .hasMessageContaining("BitFit.merge: what it does is in no weight");
            assertThat(model.loss(batch())).isEqualTo(loss);
            assertThat(model.projections().stream().map(Projection::attachment).filter(part -> part != null))
                    .hasSize(2);
        }
    }
}
