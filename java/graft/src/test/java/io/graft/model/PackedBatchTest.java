package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.graft.adapter.Adapter;
import io.graft.adapter.Full;
import io.graft.adapter.Lora;
import io.graft.adapter.PrefixTuning;
import io.graft.adapter.PromptTuning;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftPrefixTuningConfig;
import io.graft.io.PeftPromptTuningConfig;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.train.Example;
import io.graft.train.Packing;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.BiConsumer;
import java.util.stream.DoubleStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sequences behind one another in a row: the loss and the gradients of the same sequences in rows of their own. */
class PackedBatchTest {
    private static final int[] LENGTHS = {4, 7, 2, 5, 1, 3};

    private static List<Example> examples() {
        SplittableRandom random = new SplittableRandom(5);
        List<Example> examples = new ArrayList<>();
        for (int length : LENGTHS) {
            int[] ids = random.ints(length, 0, 23).toArray();
            int[] labels = ids.clone();
            labels[length / 2] = Batch.IGNORED;
            examples.add(new Example(ids, labels));
        }
        return examples;
    }

    private static Batch batch(List<Example> rows, int length) {
        Batch batch = new Batch();
        batch.resize(rows.size(), length);
        for (int row = 0; row < rows.size(); row++) {
            rows.get(row).fill(batch, row);
        }
        return batch;
    }

    private static void with(
            String type, DType dtype, Adapter adapter, boolean checkpointing, BiConsumer<Llama, Batch> test) {
        Llama.Options options = Llama.Options.training(adapter).withGradientCheckpointing(checkpointing);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = Llama.create(scope, ArchitectureGradientTest.config(type), dtype, 4, options)) {
            SplittableRandom random = new SplittableRandom(1);
            for (Parameter parameter : model.parameters()) {
                double[] values =
                        random.doubles(parameter.value().elements(), -0.5, 0.5).toArray();
                if (dtype == DType.F64) {
                    parameter.value().set(values);
                }
            }
            model.parametersChanged();
            test.accept(model, batch(Packing.rows(examples(), 9), 9));
        }
    }

    private static Adapter lora() {
        return Lora.create(PeftLoraConfig.parse("test", """
                {"peft_type": "LORA", "r": 3, "lora_alpha": 5, "init_lora_weights": false,
                 "target_modules": "all-linear"}"""), 2);
    }

    /** Windows, learned positions, head norms, biases, parallel blocks; rows with padding behind. */
    @ParameterizedTest
    @CsvSource({
        "mistral, full, false, F64",
        "qwen2, lora, true, F64",
        "qwen3, full, false, F64",
        "gpt_bigcode, full, true, F64",
        "codegen, full, false, F64",
        "phi3, full, false, F64",
        "starcoder2, lora, false, F64",
        "gemma2, full, true, F64",
        "gemma3_text, full, false, F64",
        "mistral, full, false, F32",
        "qwen3, full, true, F32"
    })
    void lossAndGradientsAreThoseOfRowsOfTheirOwn(String type, String kind, boolean checkpointing, DType dtype) {
        with(type, dtype, kind.equals("full") ? new Full() : lora(), checkpointing, (model, packed) -> {
            assertThat(packed.batch()).isEqualTo(3);
            Batch apart = batch(examples(), 7);
            assertThat(packed.targets()).isEqualTo(apart.targets());
            double tolerance = dtype == DType.F64 ? 1e-12 : 64 * 0x1p-24;
            double expected = loss(model, apart);
            List<double[]> gradients = gradients(model);
            assertThat(loss(model, packed)).isCloseTo(expected, within(tolerance * expected));
            List<double[]> found = gradients(model);
            for (int p = 0; p < gradients.size(); p++) {
                near(model.trainable().get(p).name(), found.get(p), gradients.get(p), tolerance);
            }
            // The buffers forget that a batch was packed.
            assertThat(loss(model, apart)).isEqualTo(expected);
        });
    }

    @Test
    void aSequenceDoesNotChangeTheOthersOfItsRow() {
        with("qwen3", DType.F32, lora(), false, (model, packed) -> {
            float[] before = model.logits(packed);
            int changed = packed.starts()[8];
            assertThat(changed).isBetween(1, 8);
            for (int i = changed; i < 9; i++) {
                packed.ids()[i] = (packed.ids()[i] + 1) % 23;
            }
            float[] after = model.logits(packed);
            int width = before.length / 27;
            for (int i = 0; i < before.length; i++) {
                int token = i / width;
                if (token < changed || token >= 9) {
                    assertThat(after[i]).isEqualTo(before[i]);
                }
            }
            assertThat(after[changed * width]).isNotEqualTo(before[changed * width]);
        });
    }

    @Test
    void virtualTokensBeforeARowAreRefused() {
        for (Adapter adapter : List.of(
                PromptTuning.create(PeftPromptTuningConfig.of("base", 2, PeftPromptTuningConfig.Init.RANDOM), 1L),
                PrefixTuning.create(PeftPrefixTuningConfig.of("base", 2), 1))) {
            with(
                    "qwen2",
                    DType.F32,
                    adapter,
                    false,
                    (model, packed) -> assertThatThrownBy(() -> model.loss(packed))
                            .hasMessageContaining("hold several sequences", "2 virtual tokens"));
        }
    }

    private static void near(String name, double[] found, double[] expected, double tolerance) {
        double largest =
                Math.max(1e-3, DoubleStream.of(expected).map(Math::abs).max().orElse(0));
        for (int i = 0; i < expected.length; i++) {
            assertThat(found[i]).as("%s[%d]", name, i).isCloseTo(expected[i], within(tolerance * largest));
        }
    }

    private static double loss(Llama model, Batch batch) {
        model.zeroGradients();
        model.lossAndGradients(batch);
        return model.lastLoss();
    }

    private static List<double[]> gradients(Llama model) {
        return model.trainable().stream()
                .map(parameter -> parameter.gradient().doubles())
                .toList();
    }
}
