package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.graft.binding.GraftArgumentException;
import io.graft.io.PeftPacaConfig;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.nn.PartialColumns;
import io.graft.nn.Projection;
import io.graft.ops.Nf4;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.train.AdamW;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** PaCA on a whole model: it starts at the base model, changes its columns only, and gives them back. */
class PacaTest extends InContext {
    private static final int RANK = 4;

    private static PeftPacaConfig config(String... targets) {
        return PeftPacaConfig.builder()
                .rank(RANK)
                .alpha(8)
                .randomSeed(3)
                .targets(targets)
                .build();
    }

    private static Batch batch() {
        return Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);
    }

    private Llama model(DType dtype, Adapter adapter) {
        return Golden.load(scope, "llama_gqa", dtype, Llama.Options.training(adapter));
    }

    private static List<float[]> weights(Llama model) {
        List<float[]> all = new ArrayList<>();
        for (Projection projection : model.projections()) {
            all.add(projection.weight().matrix().floats());
        }
        return all;
    }

    /** Something that every trained column notices. */
    private static void move(Llama model) {
        for (Parameter parameter : model.trainable()) {
            float[] gradient = parameter.gradient().floats();
            float[] values = parameter.value().floats();
            for (int i = 0; i < values.length; i++) {
                values[i] -= 0.5f * Math.signum(gradient[i]) + 0.25f;
            }
            parameter.value().set(values);
        }
        model.parametersChanged();
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void startsAtTheBaseAndChangesItsColumnsOnly(DType dtype) {
        Paca paca = Paca.create(config("q_proj", "o_proj", "down_proj"));
        try (Llama model = model(dtype, paca);
                Llama base = model(dtype, new Full())) {
            List<float[]> before = weights(base);
            float start = base.lossAndGradients(batch());
            assertThat(model.lossAndGradients(batch())).isEqualTo(start);
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(before);
            move(model);
            float moved = model.lossAndGradients(batch());
            assertThat(moved).isNotEqualTo(start);
            List<float[]> after = weights(model);
            for (int i = 0; i < before.size(); i++) {
                Projection projection = model.projections().get(i);
                int columns = (int) projection.weight().k();
                List<Long> trained = projection.attachment() instanceof PartialColumns part
                        ? Arrays.stream(part.indices().longs()).boxed().toList()
                        : List.of();
                for (int j = 0; j < before.get(i).length; j++) {
                    if (!trained.contains((long) (j % columns))) {
                        assertThat(after.get(i)[j]).isEqualTo(before.get(i)[j]);
                    } else {
                        assertThat(after.get(i)[j]).isNotEqualTo(before.get(i)[j]);
                    }
                }
            }
            paca.disable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(before);
            paca.enable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(after);
        }
    }

    /** AdamW writes the columns as it moves D; what else changes D or W does not rely on that. */
    @Test
    void theOptimiserWritesTheColumns() {
        Paca paca = Paca.create(config("q_proj", "down_proj"));
        try (Llama model = model(DType.BF16, paca);
                AdamW optimiser = new AdamW(scope, model.trainable(), AdamW.Settings.defaults())) {
            List<float[]> base = weights(model);
            model.lossAndGradients(batch());
            optimiser.step(0.01);
            assertThat(context.lastDispatch()).isEqualTo("adamw_steps:cpu/fast");
            List<float[]> stepped = weights(model);
            assertThat(Arrays.deepEquals(stepped.toArray(), base.toArray())).isFalse();
            model.parametersChanged();
            assertThat(context.lastDispatch()).doesNotContain("paca");
            model.parametersChanged();
            assertThat(context.lastDispatch()).isEqualTo("paca_write:cpu/fast");
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(stepped);

            optimiser.step(0.01);
            List<float[]> again = weights(model);
            paca.disable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(base);
            paca.enable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(again);
        }
    }

    @Test
    void keepsOnlyTheChosenColumnsOfActivations() {
        long frozen = activations(new Full("model.layers.0.input_layernorm.weight"::equals));
        long adapted = activations(Paca.create(config("gate_proj", "down_proj")));
        int layers = 2;
        int rows = 16;
        long kept = (long) layers * 2 * rows * RANK * Float.BYTES;
        assertThat(adapted - frozen).isEqualTo(kept);
    }

    /** Bytes that the passes of one step hold. */
    private long activations(Adapter adapter) {
        try (Context own = Context.cpu(1);
                Scope inner = own.scope();
                Llama model = Golden.load(inner, "llama_gqa", DType.F32, Llama.Options.training(adapter))) {
            model.lossAndGradients(Batch.of(2, 8, new int[16], null));
            return own.memory(Memory.ACTIVATION);
        }
    }

    @Test
    void bothLayoutsOfFilesComeBack(@TempDir Path folder) {
        Paca paca = Paca.create(config("q_proj", "up_proj"));
        try (Llama model = model(DType.F32, paca)) {
            model.lossAndGradients(batch());
            move(model);
            float loss = model.lossAndGradients(batch());
            paca.save(folder.resolve("delta"));
            paca.saveAbsolute(folder.resolve("absolute"));
            try (SafetensorsFile file =
                    SafetensorsFile.open(folder.resolve("absolute").resolve(PeftAdapter.FILE))) {
                assertThat(file.names())
                        .contains(
                                "base_model.model.model.layers.0.self_attn.q_proj.paca_w",
                                "base_model.model.model.layers.0.self_attn.q_proj.paca_indices")
                        .noneMatch(name -> name.endsWith("paca_delta"));
            }
            Paca same = Paca.load(folder.resolve("delta"));
            try (Llama again = model(DType.F32, same)) {
                assertThat(again.lossAndGradients(batch())).isEqualTo(loss);
                assertThat(weights(again)).usingRecursiveComparison().isEqualTo(weights(model));
            }
            try (Llama again = model(DType.F32, Paca.load(folder.resolve("absolute")))) {
                assertThat(again.lossAndGradients(batch())).isCloseTo(loss, within(1e-5f));
            }
        }
    }

    @Test
    void mergingLeavesTheTrainedModel() {
        Paca paca = Paca.create(config("v_proj"));
        try (Llama model = model(DType.F32, paca)) {
            model.lossAndGradients(batch());
            move(model);
            List<float[]> trained = weights(model);
            paca.disable();
            paca.merge();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(trained);
            assertThat(model.projections()).allMatch(projection -> projection.attachment() == null);
        }
    }

    @Test
    void columnsFollowTheSelection() {
        Paca byNorm = Paca.create(config("k_proj"), ColumnSelection.norm());
        try (Llama model = model(DType.F32, byNorm)) {
            Projection projection = byNorm.projections().get(0);
            float[] w = projection.weight().matrix().floats();
            int columns = (int) projection.weight().k();
            double[] norms = new double[columns];
            for (int i = 0; i < w.length; i++) {
                norms[i % columns] += (double) w[i] * w[i];
            }
            long[] chosen = ((PartialColumns) projection.attachment()).indices().longs();
            double least =
                    Arrays.stream(chosen).mapToDouble(j -> norms[(int) j]).min().orElseThrow();
            assertThat(Arrays.stream(norms)
                            .filter(norm -> norm > least * (1 + 1e-5))
                            .count())
                    .isLessThan(RANK);
        }
        assertThat(random(3))
                .isEqualTo(random(3))
                .isNotEqualTo(random(4))
                .isSorted()
                .hasSize(RANK);
    }

    @Test
    void columnsOfTheLargestGradients() {
        String module = "model.layers.1.mlp.up_proj";
        ColumnSelection selection;
        float[] gradient;
        int columns;
        try (Llama full = model(DType.F32, new Full(name -> name.endsWith("up_proj.weight")))) {
            full.lossAndGradients(batch());
            selection = ColumnSelection.gradient(full);
            gradient = full.parameter(module + ".weight").gradient().floats();
            columns = (int) full.parameter(module + ".weight").value().size(1);
        }
        double[] norms = new double[columns];
        for (int i = 0; i < gradient.length; i++) {
            norms[i % columns] += (double) gradient[i] * gradient[i];
        }
        Paca paca = Paca.create(config("up_proj"), selection);
        try (Llama model = model(DType.F32, paca)) {
            long[] chosen = ((PartialColumns) paca.projections().get(1).attachment())
                    .indices()
                    .longs();
            double least =
                    Arrays.stream(chosen).mapToDouble(j -> norms[(int) j]).min().orElseThrow();
            assertThat(Arrays.stream(norms)
                            .filter(norm -> norm > least * (1 + 1e-5))
                            .count())
                    .isLessThan(RANK);
        }
        assertThatThrownBy(() -> model(DType.F32, Paca.create(config("q_proj"), selection)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("Paca: no gradient is given for model.layers.0.self_attn.q_proj");
    }

    @Test
    void givenColumnsMayHaveAnyOrderButNoRepetition() {
        assertThat(given(5, 0, 11, 2)).containsExactly(5, 0, 11, 2);
        assertThatThrownBy(() -> given(5, 0, 5, 2))
                .isInstanceOf(GraftArgumentException.class)
                .hasMessageContaining("5 twice");
        assertThatThrownBy(() -> given(5, 0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("2 columns are chosen for model.layers.0.self_attn.q_proj, but r is 4");
    }

    private long[] given(long... columns) {
        PeftPacaConfig config = PeftPacaConfig.builder()
                .rank(RANK)
                .targetPattern("model.layers.0.self_attn.q_proj")
                .build();
        Paca paca = Paca.create(config, ColumnSelection.given(Map.of("model.layers.0.self_attn.q_proj", columns)));
        try (Llama model = model(DType.F32, paca)) {
            return ((PartialColumns) paca.projections().get(0).attachment())
                    .indices()
                    .longs();
        }
    }

    private long[] random(long seed) {
        Paca paca = Paca.create(PeftPacaConfig.builder()
                .rank(RANK)
                .randomSeed(seed)
                .targets("q_proj")
                .build());
        try (Llama model = model(DType.F32, paca)) {
            return ((PartialColumns) paca.projections().get(0).attachment())
                    .indices()
                    .longs();
        }
    }

    @Test
    void whatDoesNotFitIsRefused() {
        Paca tooWide = Paca.create(
                PeftPacaConfig.builder().rank(4096).targets("q_proj").build());
        assertThatThrownBy(() -> model(DType.F32, tooWide))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("Paca: r is 4096, but model.layers.0.self_attn.q_proj has only");
        assertThatThrownBy(() -> model(DType.F32, Paca.create(config("embed_tokens"))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("Paca: target model.embed_tokens is not supported");
    }

    /** QPaCA: the columns beside NF4 codes, against columns in place of the matrix that the codes stand for. */
    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void besideCodesItIsTheSameAdapter(DType dtype, @TempDir Path folder) {
        String[] all = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
        Llama.Options onCodes = Llama.Options.training(Paca.create(config(all))).withBase(Weight.Kind.NF4);
        try (Llama coded = Golden.load(scope, "llama_gqa", dtype, onCodes);
                Llama dense = model(dtype, Paca.create(config(all)))) {
            Paca adapter = (Paca) coded.adapter();
            List<float[]> codes = new ArrayList<>();
            for (int i = 0; i < coded.projections().size(); i++) {
                Weight weight = coded.projections().get(i).weight();
                Tensor matrix = scope.tensor(Memory.WORKSPACE, dtype, weight.n(), weight.k());
                Nf4.dequantize(context, weight, matrix);
                codes.add(matrix.floats());
                Projection projection = dense.projections().get(i);
                PartialColumns part = (PartialColumns) projection.attachment();
                TensorOps.copy(context, matrix, projection.weight().matrix());
                io.graft.ops.Paca.read(context, projection.weight(), part.indices(), part.original());
            }
            float base = coded.loss(batch());
            double loose = dtype == DType.F32 ? 1e-5 : 2e-2;
            assertThat((double) base).isCloseTo(dense.loss(batch()), within(loose));
            for (Llama model : List.of(coded, dense)) {
                model.zeroGradients();
                model.lossAndGradients(batch());
            }
            for (int i = 0; i < coded.trainable().size(); i++) {
                float[] expected = dense.trainable().get(i).gradient().floats();
                float[] actual = coded.trainable().get(i).gradient().floats();
                double largest = 0;
                for (float value : expected) {
                    largest = Math.max(largest, Math.abs(value));
                }
                for (int j = 0; j < expected.length; j++) {
                    assertThat((double) actual[j]).isCloseTo(expected[j], within(loose * largest * 3));
                }
            }
            move(coded);
            coded.parametersChanged();
            float moved = coded.loss(batch());
            assertThat(moved).isNotEqualTo(base);
            adapter.disable();
            assertThat(coded.loss(batch())).isEqualTo(base);
            adapter.enable();
            assertThat(coded.loss(batch())).isEqualTo(moved);
            for (int i = 0; i < codes.size(); i++) {
                Weight weight = coded.projections().get(i).weight();
                Tensor matrix = scope.tensor(Memory.WORKSPACE, dtype, weight.n(), weight.k());
                Nf4.dequantize(context, weight, matrix);
                assertThat(matrix.floats()).isEqualTo(codes.get(i));
            }
            adapter.save(folder);
            Llama.Options frozen = Llama.Options.training(Paca.frozen(folder)).withBase(Weight.Kind.NF4);
            try (Llama loaded = Golden.load(scope, "llama_gqa", dtype, frozen)) {
                assertThat(loaded.loss(batch())).isEqualTo(moved);
            }
            assertThatThrownBy(() -> adapter.saveAbsolute(folder)).hasMessageContaining("quantised");
        }
        assertThatThrownBy(() -> Golden.load(
                        scope,
                        "llama_gqa",
                        dtype,
                        Llama.Options.training(Paca.create(config(all), ColumnSelection.norm()))
                                .withBase(Weight.Kind.NF4)))
                .hasMessageContaining("columns by norm need a dense weight");
    }
}
