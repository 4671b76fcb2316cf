package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.FormatException;
import io.graft.io.PeftCapaBoostConfig;
import io.graft.io.SafetensorsFile;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.ops.Random;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Copies of factors under masks, against sums over the masks; training is shown with that of {@link MatrixAdaptersTest}. */
class CapaBoostTest extends InContext {
    private static final int RANK = 2;
    private static final long SEED = 7;

    private static PeftCapaBoostConfig config(int copies, double keep) {
        return PeftCapaBoostConfig.of("base", List.of("q_proj", "down_proj"), RANK, 3, 0, copies, keep, SEED);
    }

    private Llama model(Adapter adapter) {
        return Golden.load(scope, "llama_gqa", DType.F32, Llama.Options.training(adapter));
    }

    private static void fill(Llama model) {
        for (Parameter parameter : model.trainable()) {
            Random.normal(
                    parameter.value().scope().context(), 3, parameter.name().hashCode(), 0, 1, parameter.value());
        }
        model.parametersChanged();
    }

    /** Masks [copies, rows, columns] of one factor: where a number of its stream is below keep. */
    private boolean[] masks(String module, boolean b, int elements, double keep) {
        Tensor numbers = scope.tensor(Memory.WORKSPACE, DType.F64, elements);
        long stream = SEED ^ Lora.mix(module.hashCode() * 2L + (b ? 1 : 0));
        Random.uniform(context, stream, 0, 0, 1, numbers);
        boolean[] kept = new boolean[elements];
        double[] values = numbers.doubles();
        for (int i = 0; i < elements; i++) {
            kept[i] = values[i] < keep;
        }
        return kept;
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "2, 0.5", "3, 0.3"})
    void theChangeIsTheSumOverMaskedFactors(int copies, double keep) {
        try (Llama base = model(null);
                Llama model = model(CapaBoost.create(config(copies, keep), 5))) {
            fill(model);
            double[][] factors = model.trainable().stream()
                    .map(parameter -> parameter.value().doubles())
                    .toArray(double[][]::new);
            List<String> targets = ((PeftAdapter<?>) model.adapter())
                    .projections().stream().map(p -> p.module()).toList();
            model.merge();
            for (int at = 0; at < targets.size(); at++) {
                String module = targets.get(at);
                double[] before = weight(base, module);
                double[] after = weight(model, module);
                double[] a = factors[2 * at];
                double[] b = factors[2 * at + 1];
                int inputs = a.length / RANK;
                int outputs = b.length / RANK;
                boolean[] keptA = masks(module, false, copies * a.length, keep);
                boolean[] keptB = masks(module, true, copies * b.length, keep);
                for (int n = 0; n < outputs; n++) {
                    for (int k = 0; k < inputs; k++) {
                        double sum = 0;
                        for (int i = 0; i < copies; i++) {
                            for (int r = 0; r < RANK; r++) {
                                boolean both =
                                        keptB[i * b.length + n * RANK + r] && keptA[i * a.length + r * inputs + k];
                                sum += both ? b[n * RANK + r] * a[r * inputs + k] : 0;
                            }
                        }
                        assertThat(after[n * inputs + k])
                                .isCloseTo(before[n * inputs + k] + 1.5 * sum, Offset.offset(2e-5));
                    }
                }
            }
        }
    }

    private static double[] weight(Llama model, String module) {
        return model.projections().stream()
                .filter(projection -> projection.module().equals(module))
                .findFirst()
                .orElseThrow()
                .weight()
                .matrix()
                .doubles();
    }

    @Test
    void theFileHoldsOnePairOfFactors(@TempDir Path folder) {
        try (Llama model = model(CapaBoost.create(config(2, 0.5), 5))) {
            fill(model);
            model.adapter().save(folder);
            assertThat(model.trainable()).hasSize(8);
        }
        try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftAdapter.FILE))) {
            assertThat(file.names()).hasSize(8);
            String key = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
            assertThat(file.shape(key)[0]).isEqualTo(RANK);
        }
        PeftCapaBoostConfig again = PeftCapaBoostConfig.read(folder);
        assertThat(again.maskSeed()).isEqualTo(SEED);
        assertThat(again.copies()).isEqualTo(2);
        assertThat(again.scale()).isEqualTo(1.5);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "\"keep\":0 | field 'keep' is 0.0, expected 0 < keep <= 1",
                "\"keep\":1.5 | field 'keep' is 1.5, expected 0 < keep <= 1",
                "\"copies\":0 | field 'copies' is 0, expected at least 1",
                "\"lora_dropout\":1 | field 'lora_dropout' is 1.0, expected 0 <= p < 1"
            })
    void badFieldsAreNamed(String field, String message) {
        assertThatThrownBy(() -> PeftCapaBoostConfig.parse("test", "{\"peft_type\":\"CAPABOOST\"," + field + "}"))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining(message);
    }
}
