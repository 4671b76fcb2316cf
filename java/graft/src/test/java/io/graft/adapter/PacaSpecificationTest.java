package io.graft.adapter;

import static io.graft.adapter.PacaModels.ALL;
import static io.graft.adapter.PacaModels.batch;
import static io.graft.adapter.PacaModels.changed;
import static io.graft.adapter.PacaModels.columns;
import static io.graft.adapter.PacaModels.config;
import static io.graft.adapter.PacaModels.model;
import static io.graft.adapter.PacaModels.train;
import static io.graft.adapter.PacaModels.weights;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftPacaConfig;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Weight;
import io.graft.train.Trainer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What makes an implementation of PaCA right, point by point: ten properties, each on a whole model. */
class PacaSpecificationTest extends InContext {
    private static final int RANK = 4;

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void one_stepZeroIsTheBase(DType dtype) {
        try (Llama adapted = model(scope, dtype, Paca.create(config(RANK, ALL)));
                Llama base = model(scope, dtype, null)) {
            assertThat(adapted.logits(batch(2))).isEqualTo(base.logits(batch(2)));
        }
    }

    @Test
    void two_theGradientIsThatOfTheColumns() {
        Paca paca = Paca.create(config(RANK, ALL));
        try (Llama adapted = model(scope, DType.F32, paca);
                Llama full = model(scope, DType.F32, new Full())) {
            adapted.lossAndGradients(batch(2));
            full.lossAndGradients(batch(2));
            List<Projection> projections = paca.projections();
            assertThat(projections).hasSameSizeAs(full.projections());
            for (int i = 0; i < projections.size(); i++) {
                Projection projection = projections.get(i);
                float[] whole = full.projections().get(i).parameter().gradient().floats();
                long[] columns = columns(projection);
                float[] expected = new float[(int) projection.weight().n() * RANK];
                for (int j = 0; j < expected.length; j++) {
                    long row = j / RANK;
                    expected[j] = 2 * whole[(int) (row * projection.weight().k() + columns[j % RANK])];
                }
                float[] actual = adapted.trainable().get(i).gradient().floats();
                Golden.assertClose(projection.module(), actual, expected, 1e-5);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void three_otherColumnsStayBitByBit(DType dtype) {
        Paca paca = Paca.create(config(RANK, "q_proj", "o_proj", "down_proj"));
        try (Llama model = model(scope, dtype, paca)) {
            List<float[]> before = weights(model);
            train(model, 5);
            List<float[]> after = weights(model);
            for (int i = 0; i < before.size(); i++) {
                Projection projection = model.projections().get(i);
                long[] trained = projection.attachment() == null ? new long[0] : columns(projection);
                assertThat(changed(before.get(i), after.get(i), (int)
                                projection.weight().k()))
                        .isEqualTo(trained);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void four_disablingAndUnmergingGiveTheBaseBack(DType dtype) {
        Paca paca = Paca.create(config(RANK, ALL));
        try (Llama model = model(scope, dtype, paca)) {
            List<float[]> before = weights(model);
            float[] logits = model.logits(batch(2));
            train(model, 3);
            List<float[]> after = weights(model);
            paca.disable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(before);
            assertThat(model.logits(batch(2))).isEqualTo(logits);
            paca.enable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(after);
            assertThatThrownBy(paca::unmerge)
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessage("Paca.unmerge: nothing is merged");
            model.merge();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(after);
            paca.unmerge();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(before);
            assertThat(model.logits(batch(2))).isEqualTo(logits);
        }
    }

    @Test
    void five_accumulatedBatchesGiveTheGradientOfOneBatch() {
        try (Llama one = model(scope, DType.F32, Paca.create(config(RANK, ALL)));
                Llama many = model(scope, DType.F32, Paca.create(config(RANK, ALL)));
                Trainer whole = new Trainer(one, Trainer.Options.of(1, 0), PacaModels.source(4));
                Trainer split = new Trainer(many, Trainer.Options.of(1, 0).withAccumulation(4), PacaModels.source(1))) {
            whole.step();
            split.step();
            for (int i = 0; i < one.trainable().size(); i++) {
                Parameter expected = one.trainable().get(i);
                Golden.assertClose(
                        expected.name(),
                        many.trainable().get(i).gradient().floats(),
                        expected.gradient().floats(),
                        1e-5);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void six_checkpointingChangesNoBitOfTheGradient(DType dtype) {
        Llama.Options options = Llama.Options.training(Paca.create(config(RANK, ALL)));
        try (Llama kept = model(scope, dtype, Paca.create(config(RANK, ALL)));
                Llama again = Golden.load(scope, "llama_gqa", dtype, options.withGradientCheckpointing(true))) {
            assertThat(again.lossAndGradients(batch(2))).isEqualTo(kept.lossAndGradients(batch(2)));
            for (int i = 0; i < kept.trainable().size(); i++) {
                assertThat(again.trainable().get(i).gradient().floats())
                        .isEqualTo(kept.trainable().get(i).gradient().floats());
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void seven_evaluationRightAfterAStepSeesTheNewColumns(DType dtype, @TempDir Path folder) {
        Paca paca = Paca.create(config(RANK, ALL));
        try (Llama model = model(scope, dtype, paca);
                Trainer trainer = PacaModels.trainer(model, 9)) {
            float before = model.loss(batch(2));
            for (int step = 1; step <= 3; step++) {
                trainer.step();
                float now = model.loss(batch(2));
                assertThat(now).isNotEqualTo(before);
                paca.save(folder);
                try (Llama loaded = model(scope, dtype, Paca.frozen(folder))) {
                    assertThat(loaded.loss(batch(2))).isEqualTo(now);
                }
                before = now;
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"DENSE", "NF4"})
    void eight_theLoraFormIsTheSameLayer(Weight.Kind base, @TempDir Path folder) {
        PeftPacaConfig config = PeftPacaConfig.builder()
                .rank(RANK)
                .alpha(12)
                .rankPattern(Map.of("o_proj", 6))
                .alphaPattern(Map.of("o_proj", 9.0))
                .targets(ALL)
                .modulesToSave("norm")
                .build();
        Paca paca = Paca.create(config);
        try (Llama model =
                Golden.load(scope, "llama_gqa", Llama.Options.training(paca).withBase(base))) {
            float[] start = model.logits(batch(2));
            train(model, 3);
            float[] trained = model.logits(batch(2));
            assertThat(Golden.relativeError(trained, start)).isGreaterThan(0.01);
            paca.saveLora(folder);
            PeftLoraConfig lora = PeftLoraConfig.read(folder);
            assertThat(lora.rank("model.layers.1.self_attn.o_proj")).isEqualTo(6);
            assertThat(lora.scale("model.layers.1.self_attn.o_proj")).isEqualTo(1.5);
            assertThat(lora.scale("model.layers.1.self_attn.q_proj")).isEqualTo(3);
            try (Llama same = Golden.load(
                    scope,
                    "llama_gqa",
                    Llama.Options.training(Lora.frozen(folder)).withBase(base))) {
                Golden.assertClose("logits", same.logits(batch(2)), trained, 1e-5);
            }
        }
    }

    @Test
    void nine_bothLayoutsOfFilesSayTheSameWhateverTheOrder(@TempDir Path folder) {
        Map<String, long[]> chosen = new HashMap<>();
        for (int layer = 0; layer < 2; layer++) {
            chosen.put("model.layers." + layer + ".self_attn.q_proj", new long[] {41, 3, 17 + layer, 8});
            chosen.put("model.layers." + layer + ".mlp.down_proj", new long[] {1, 60, 0, 2});
        }
        Paca paca = Paca.create(config(RANK, "q_proj", "down_proj"), ColumnSelection.given(chosen));
        try (Llama model = model(scope, DType.F32, paca)) {
            train(model, 3);
            paca.saveAbsolute(folder.resolve("absolute"));
            Paca fromAbsolute = Paca.load(folder.resolve("absolute"));
            try (Llama again = model(scope, DType.F32, fromAbsolute)) {
                fromAbsolute.save(folder.resolve("delta"));
            }
            Paca fromDelta = Paca.load(folder.resolve("delta"));
            try (Llama again = model(scope, DType.F32, fromDelta)) {
                assertThat(columns(again.projections().get(0))).containsExactly(41, 3, 17, 8);
                for (int i = 0; i < model.trainable().size(); i++) {
                    Parameter expected = model.trainable().get(i);
                    Golden.assertClose(
                            expected.name(),
                            again.trainable().get(i).value().floats(),
                            expected.value().floats(),
                            1e-5);
                }
                for (int i = 0; i < weights(model).size(); i++) {
                    Golden.assertClose(
                            "weight " + i, weights(again).get(i), weights(model).get(i), 1e-6);
                }
            }
        }
    }

    /** Clipping is by the norm of all gradients, which is the same only because nothing else is trained. */
    @Test
    void ten_allColumnsAreFullFineTuningOfTheLayer() {
        String module = "model.layers.1.self_attn.o_proj";
        int inputs = 48;
        PeftPacaConfig config = PeftPacaConfig.builder()
                .rank(inputs)
                .alpha(inputs)
                .targetPattern(module.replace(".", "[.]"))
                .build();
        Paca paca = Paca.create(config);
        try (Llama adapted = model(scope, DType.F32, paca);
                Llama full = model(scope, DType.F32, new Full((module + ".weight")::equals))) {
            Projection projection = paca.projections().get(0);
            assertThat(columns(projection))
                    .isEqualTo(LongStream.range(0, inputs).toArray());
            float[] before = projection.weight().matrix().floats();
            train(adapted, 6);
            train(full, 6);
            float[] expected = full.parameter(module + ".weight").value().floats();
            assertThat(Arrays.equals(expected, before)).isFalse();
            float[] moved = expected.clone();
            float[] actual = projection.weight().matrix().floats();
            for (int i = 0; i < moved.length; i++) {
                moved[i] -= before[i];
                actual[i] -= before[i];
            }
            Golden.assertClose("change of " + module, actual, moved, 1e-3);
        }
    }
}
