package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.Adapter;
import io.graft.adapter.Full;
import io.graft.adapter.LnTuning;
import io.graft.adapter.Lora;
import io.graft.io.PeftLnTuningConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.SafetensorsFile;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.ops.Nf4;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A model over an NF4 base is the model over the matrices that its codes stand for, in less memory. */
class QuantizedLlamaTest {
    private static final String MODEL = "llama_gqa";

    private static Lora lora(double dropout) {
        return Lora.create(PeftLoraConfig.parse("test", """
                {"peft_type": "LORA", "r": 3, "lora_alpha": 5, "lora_dropout": %s, "init_lora_weights": false,
                 "target_modules": "all-linear"}""".formatted(dropout)), 2);
    }

    private static Llama load(Scope scope, Adapter adapter, DType dtype) {
        return Golden.load(scope, MODEL, dtype, Llama.Options.training(adapter).withBase(Weight.Kind.NF4));
    }

    /** A dense model with the numbers of a quantised one. */
    private static Llama dense(Scope scope, Llama quantized, Llama.Options options) {
        Llama dense = Golden.load(scope, MODEL, quantized.dtype(), options);
        for (int i = 0; i < dense.projections().size(); i++) {
            Nf4.dequantize(
                    scope.context(),
                    quantized.projections().get(i).weight(),
                    dense.projections().get(i).weight().matrix());
        }
        dense.parametersChanged();
        return dense;
    }

    @ParameterizedTest
    @CsvSource({"0, false", "0.3, false", "0.3, true"})
    void lossAndGradientsAreThoseOfTheDequantisedBase(double dropout, boolean checkpointing) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile file = Golden.tensors(MODEL, "base")) {
            Batch batch = Golden.batch(scope, file);
            Llama.Options options = Llama.Options.training(lora(dropout)).withGradientCheckpointing(checkpointing);
            Llama quantized = Golden.load(
                    scope,
                    MODEL,
                    Llama.Options.training(lora(dropout))
                            .withGradientCheckpointing(checkpointing)
                            .withBase(Weight.Kind.NF4));
            Llama dense = dense(scope, quantized, options);
            assertThat(quantized.lossAndGradients(batch, 0, 9, 1))
                    .isCloseTo(dense.lossAndGradients(batch, 0, 9, 1), Offset.offset(1e-5f));
            for (int i = 0; i < dense.trainable().size(); i++) {
                Parameter parameter = quantized.trainable().get(i);
                Golden.assertClose(
                        parameter.name(),
                        parameter.gradient().floats(),
                        dense.trainable().get(i).gradient().floats(),
                        2e-5);
            }
        }
    }

    @Test
    void generationReadsTheCodesAlone() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope()) {
            Llama quantized = load(scope, null, DType.F32);
            Llama dense = dense(scope, quantized, Llama.Options.inference());
            Sampling greedy = new Sampling(0, 0, 1, 0);
            int[] prompt = {1, 5, 9};
            try (Generator one = new Generator(quantized);
                    Generator other = new Generator(dense)) {
                assertThat(one.generate(prompt, 8, greedy, token -> true))
                        .containsExactly(other.generate(prompt, 8, greedy, token -> true));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"F32", "BF16"})
    void theBaseTakesLessMemory(DType dtype) {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            long empty = context.memory(Memory.BASE);
            Llama dense = Golden.load(scope, MODEL, dtype, Llama.Options.inference());
            long before = context.memory(Memory.BASE) - empty;
            Llama quantized = load(scope, null, dtype);
            long after = context.memory(Memory.BASE) - empty - before;
            long saved = 0;
            for (Projection projection : dense.projections()) {
                long numbers = projection.weight().n() * projection.weight().k();
                // 4 bits and a byte for 64 numbers; parts and matrices are rounded up to 64 bytes.
                saved += numbers * dtype.bytes() - numbers / 2 - numbers / 64 - 5 * 64;
            }
            assertThat(before - after).isGreaterThanOrEqualTo(saved);
            assertThat(quantized.size()).isEqualTo(dense.size());
        }
    }

    @Test
    void whatNeedsMatricesSaysSo(@TempDir Path folder) {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Llama model = load(scope, lora(0), DType.F32);
            assertThatThrownBy(model::merge)
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("merge: the base is NF4");
            assertThatThrownBy(() -> model.save(folder))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("save: the base is NF4");
            Weight weight = model.projections().get(0).weight();
            assertThat(weight).hasToString("Weight [" + weight.n() + ", " + weight.k() + "] NF4");
            assertThatThrownBy(weight::matrix)
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("NF4");
            assertThatThrownBy(() -> load(scope, new Full(), DType.F32))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("q_proj.weight is NF4");
            Llama.Options sketch = Llama.Options.inference().withBase(Weight.Kind.SKETCH);
            assertThatThrownBy(() -> Golden.load(scope, MODEL, DType.F32, sketch))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("the base is SKETCH, must be DENSE or NF4");
            String dora = """
                    {"peft_type": "LORA", "r": 3, "use_dora": true, "target_modules": "all-linear"}""";
            assertThatThrownBy(() -> load(scope, Lora.create(PeftLoraConfig.parse("test", dora), 1), DType.F32))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("q_proj is NF4")
                    .hasMessageContaining("needs a dense base");
        }
    }

    @Test
    void normsCanBeTrainedOverIt() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                SafetensorsFile file = Golden.tensors(MODEL, "base")) {
            Llama model = load(scope, LnTuning.create(PeftLnTuningConfig.allNorms("")), DType.F32);
            Llama chosen = load(scope, new Full(name -> name.endsWith("norm.weight")), DType.F32);
            Batch batch = Golden.batch(scope, file);
            assertThat(model.lossAndGradients(batch)).isEqualTo(chosen.lossAndGradients(batch));
            assertThat(model.trainable()).hasSameSizeAs(chosen.trainable());
        }
    }
}
