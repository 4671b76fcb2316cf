package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.LlamaConfig;
import io.graft.io.PeftSaidConfig;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.ops.Random;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Memory;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Weights moved along a random map of a short vector: linear, length-keeping, the same for the same seed. */
class SaidTest extends InContext {
    private static final int DIMENSION = 300;
    private static final Batch BATCH = Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);

    private static Said said(long seed) {
        return Said.create(PeftSaidConfig.of("base", LlamaConfig.PROJECTIONS, DIMENSION, seed));
    }

    private Llama model(DType dtype, Adapter adapter) {
        return Golden.load(scope, "llama_gqa", dtype, Llama.Options.training(adapter));
    }

    private static double[] weights(Llama model) {
        return model.projections().stream()
                .map(Projection::weight)
                .flatMapToDouble(weight -> Arrays.stream(weight.matrix().doubles()))
                .toArray();
    }

    private void fill(Parameter theta, double deviation) {
        Random.normal(context, 5, 0, 0, deviation, theta.value());
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void stepZeroIsTheBaseModel(DType dtype) {
        try (Llama base = model(dtype, null);
                Llama model = model(dtype, said(3))) {
            assertThat(model.logits(BATCH)).isEqualTo(base.logits(BATCH));
            assertThat(model.trainable()).hasSize(2);
            assertThat(model.trainable().get(0).value().elements()).isEqualTo(DIMENSION);
            assertThat(model.trainable().get(1).value().floats()).hasSize(14).containsOnly(1);
        }
    }

    /** ‖ΔW‖ over all layers is about ‖θ‖; ΔW of 2 θ is 2 ΔW; a layer's λ scales its part. */
    @Test
    void theMapKeepsLengthsAndIsLinear() {
        try (Llama model = model(DType.F32, said(3))) {
            double[] before = weights(model);
            fill(model.trainable().get(0), 1);
            model.parametersChanged();
            double[] once = weights(model);
            double[] theta = model.trainable().get(0).value().doubles();
            double ratio = length(difference(once, before)) / length(theta);
            assertThat(ratio).isCloseTo(1, Offset.offset(0.05));
            model.trainable().get(1).value().set(new double[] {2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0});
            model.parametersChanged();
            double[] twice = weights(model);
            int last = before.length - 48 * 104;
            for (int i = 0; i < before.length; i++) {
                double expected = i < last ? 2 * (once[i] - before[i]) : 0;
                assertThat(twice[i] - before[i]).isCloseTo(expected, Offset.offset(1e-6));
            }
        }
    }

    /** dθ is Pᵀ of the whole weights' gradients, and P is read off by moving one number of θ at a time. */
    @Test
    void gradientsAreTheMapsTranspose() {
        int[] probes = {0, 17, 299};
        float[] gradient;
        double[][] columns = new double[probes.length][];
        try (Llama model = model(DType.F32, said(3))) {
            model.lossAndGradients(BATCH);
            gradient = model.trainable().get(0).gradient().floats();
            double[] before = weights(model);
            for (int i = 0; i < probes.length; i++) {
                double[] unit = new double[DIMENSION];
                unit[probes[i]] = 1;
                model.trainable().get(0).value().set(unit);
                model.parametersChanged();
                columns[i] = difference(weights(model), before);
            }
        }
        try (Llama full = model(DType.F32, new Full())) {
            full.lossAndGradients(BATCH);
            double[] whole = full.projections().stream()
                    .flatMapToDouble(
                            one -> Arrays.stream(one.parameter().gradient().doubles()))
                    .toArray();
            for (int i = 0; i < probes.length; i++) {
                double sum = 0;
                for (int j = 0; j < whole.length; j++) {
                    sum += whole[j] * columns[i][j];
                }
                assertThat((double) gradient[probes[i]]).isCloseTo(sum, Offset.offset(1e-5));
            }
        }
    }

    @Test
    void aFileGivesTheSameModelAndAnotherSeedAnother(@TempDir Path folder) {
        float[] logits;
        try (Llama model = model(DType.F32, said(3))) {
            fill(model.trainable().get(0), 0.5);
            model.parametersChanged();
            logits = model.logits(BATCH);
            model.adapter().save(folder);
            model.merge();
            assertThat(model.logits(BATCH)).isEqualTo(logits);
            assertThat(model.trainable()).isEmpty();
        }
        try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftAdapter.FILE));
                Llama loaded = model(DType.F32, Said.frozen(folder));
                Llama other = model(DType.F32, said(4))) {
            assertThat(file.names()).containsExactlyInAnyOrder("base_model.said_theta", "base_model.said_lambda");
            assertThat(loaded.logits(BATCH)).isEqualTo(logits);
            fill(other.trainable().get(0), 0.5);
            other.parametersChanged();
            assertThat(other.logits(BATCH)).isNotEqualTo(logits);
        }
    }

    /** Trained are d + layers numbers; kept are the base's weights, and a matrix of each shape to work in. */
    @Test
    void memoryIsTheBaseTwiceAndLittleElse() {
        long base;
        try (Llama model = model(DType.F32, null)) {
            base = model.projections().stream()
                    .mapToLong(one -> one.weight().n() * one.weight().k() * 4)
                    .sum();
        }
        long before = context.memory(Memory.BASE);
        long trained = context.memory(Memory.ADAPTER) + context.memory(Memory.GRADIENT);
        try (Llama plain = model(DType.F32, null)) {
            long alone = context.memory(Memory.BASE) - before;
            try (Llama model = model(DType.F32, said(3))) {
                assertThat(context.memory(Memory.BASE) - before).isEqualTo(2 * alone + base);
                model.trainable().forEach(Parameter::gradient);
                assertThat(context.memory(Memory.ADAPTER) + context.memory(Memory.GRADIENT) - trained)
                        .isEqualTo(2 * 4 * (DIMENSION + 14));
            }
        }
    }

    @Test
    void whatCannotBeMovedIsRefused() {
        assertThatThrownBy(() -> Golden.load(
                        scope,
                        "llama_gqa",
                        DType.F32,
                        Llama.Options.training(said(3)).withBase(Weight.Kind.NF4)))
                .hasMessageContaining("q_proj is NF4");
        assertThatThrownBy(() -> PeftSaidConfig.of("base", List.of("q_proj"), 0, 1))
                .hasMessageContaining("'intrinsic_dimension' is 0");
        assertThatThrownBy(() -> model(DType.F32, Said.create(PeftSaidConfig.of("base", List.of("no_proj"), 5, 1))))
                .hasMessageContaining("targets no module");
    }

    private static double[] difference(double[] a, double[] b) {
        double[] difference = new double[a.length];
        Arrays.setAll(difference, i -> a[i] - b[i]);
        return difference;
    }

    private static double length(double[] v) {
        return Math.sqrt(Arrays.stream(v).map(x -> x * x).sum());
    }
}
