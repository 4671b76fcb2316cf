package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.io.PeftLoraConfig;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.LowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.train.AdamW;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.assertj.core.data.Offset;
import org.ejml.data.DMatrixRMaj;
import org.ejml.simple.SimpleMatrix;
import org.ejml.simple.SimpleSVD;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** EVA, CorDA and LoRA-GA: factors against PEFT's or a full decomposition, and whole models against their bases. */
class ExampleStartTest {
    private static final String MODEL = "llama_gqa";
    private static final int RANK = 4;

    private static Lora lora(LoraStart start) {
        PeftLoraConfig config = PeftLoraConfig.builder()
                .rank(RANK)
                .alpha(8)
                .targets("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
                .build();
        return Lora.create(config, 5).startingFrom(start);
    }

    private static Llama model(Scope scope, Adapter adapter, Weight.Kind base) {
        return Golden.load(
                scope, MODEL, DType.F32, Llama.Options.training(adapter).withBase(base));
    }

    private static Batch golden(Scope scope) {
        try (SafetensorsFile source = Golden.tensors(MODEL, "base")) {
            return Golden.batch(scope, source);
        }
    }

    /** The rows of the batch one by one, still padded. */
    private static List<Batch> rows(Batch batch) {
        List<Batch> rows = new ArrayList<>();
        for (int i = 0; i < batch.batch(); i++) {
            Batch row = new Batch();
            row.resize(1, batch.length());
            System.arraycopy(batch.ids(), i * batch.length(), row.ids(), 0, batch.length());
            System.arraycopy(batch.labels(), i * batch.length(), row.labels(), 0, batch.length());
            row.lengths()[0] = batch.lengths()[i];
            rows.add(row);
        }
        return rows;
    }

    private static SimpleMatrix matrix(Tensor m) {
        return SimpleMatrix.wrap(new DMatrixRMaj((int) m.size(0), (int) m.size(1), true, m.doubles()));
    }

    private static SimpleMatrix matrix(Scope scope, SafetensorsFile file, String name) {
        long[] shape = file.shape(name);
        double[] values = new double[(int) (shape[0] * shape[1])];
        float[] floats = Golden.floats(scope, file, name);
        Arrays.setAll(values, i -> floats[i]);
        return SimpleMatrix.wrap(new DMatrixRMaj((int) shape[0], (int) shape[1], true, values));
    }

    @Test
    void ranksAndDirectionsOfEvaArePeftsOwn() {
        JsonNode expected = Golden.json(MODEL, "eva").get("ranks_and_scales");
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile peft = Golden.tensors(MODEL, "eva");
                Llama model = model(scope, lora(LoraStart.ACTIVATIONS), Weight.Kind.DENSE)) {
            Batch batch = golden(scope);
            model.calibrate(1, i -> batch);
            Lora lora = (Lora) model.adapter();
            assertThat(lora.projections()).hasSize(14);
            assertThat(model.trainable()).hasSize(28);
            for (Projection projection : lora.projections()) {
                String module = projection.module();
                LowRank low = (LowRank) projection.attachment();
                assertThat(low.rank())
                        .as(module)
                        .isEqualTo(expected.get(module).get(0).asInt());
                assertThat(low.scale())
                        .as(module)
                        .isEqualTo(expected.get(module).get(1).asDouble());
                assertThat(low.b().value().floats()).containsOnly(0);
                SimpleMatrix own = matrix(low.a().value());
                SimpleMatrix other = matrix(scope, peft, "base_model.model." + module + ".lora_A.weight");
                SimpleMatrix alike = own.mult(other.transpose());
                for (int i = 0; i < low.rank(); i++) {
                    assertThat(Math.abs(alike.get(i, i))).as(module).isCloseTo(1, Offset.offset(2e-3));
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"COVARIANCE_LARGEST,corda_ipm,1e-3", "COVARIANCE_SMALLEST,corda_kpm,5e-3"})
    void factorsOfCordaArePeftsOwn(LoraStart start, String file, double tolerance) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile peft = Golden.tensors(MODEL, file);
                Llama model = model(scope, lora(start), Weight.Kind.DENSE)) {
            List<Batch> rows = rows(golden(scope));
            model.calibrate(rows.size(), rows::get);
            for (Projection projection : ((Lora) model.adapter()).projections()) {
                String module = projection.module();
                LowRank low = (LowRank) projection.attachment();
                SimpleMatrix a = matrix(scope, peft, "base_model.model." + module + ".lora_A.weight");
                SimpleMatrix b = matrix(scope, peft, "base_model.model." + module + ".lora_B.weight");
                SimpleMatrix expected = b.mult(a);
                SimpleMatrix own = matrix(low.b().value()).mult(matrix(low.a().value()));
                assertThat(own.minus(expected).normF()).as(module).isLessThan(tolerance * expected.normF());
                assertThat(matrix(low.b().value()).normF())
                        .as(module)
                        .isCloseTo(b.normF(), Offset.offset(tolerance * b.normF()));
            }
        }
    }

    /** The paper's formula, section 3.3, with EJML's decomposition of PyTorch's gradients. */
    @Test
    void factorsOfLoraGaAreSingularVectorsOfTheGradient() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile peft = Golden.tensors(MODEL, "base");
                Llama model = model(scope, lora(LoraStart.GRADIENT), Weight.Kind.DENSE)) {
            Batch batch = golden(scope);
            model.calibrate(1, i -> batch);
            for (Projection projection : ((Lora) model.adapter()).projections()) {
                LowRank low = (LowRank) projection.attachment();
                SimpleMatrix gradient = matrix(scope, peft, "grad." + projection.name());
                SimpleSVD<SimpleMatrix> svd = gradient.svd(true);
                double square = Math.sqrt(gradient.getNumRows()) / 16;
                SimpleMatrix v = svd.getV().cols(0, RANK);
                SimpleMatrix u = svd.getU().cols(RANK, 2 * RANK);
                SimpleMatrix a = matrix(low.a().value());
                SimpleMatrix b = matrix(low.b().value());
                near(projection, a.transpose().mult(a), v.mult(v.transpose()).scale(square));
                near(projection, b.mult(b.transpose()), u.mult(u.transpose()).scale(square));
            }
        }
    }

    private static void near(Projection projection, SimpleMatrix actual, SimpleMatrix expected) {
        assertThat(actual.minus(expected).normF()).as(projection.module()).isLessThan(5e-3 * expected.normF());
    }

    @ParameterizedTest
    @EnumSource(names = {"ACTIVATIONS", "GRADIENT", "COVARIANCE_LARGEST", "COVARIANCE_SMALLEST"})
    void theModelStaysAndTheFileServesTheBase(LoraStart start, @TempDir Path folder) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama base = model(scope, null, Weight.Kind.DENSE);
                Llama tuned = model(scope, lora(start), Weight.Kind.DENSE)) {
            Batch batch = golden(scope);
            List<Batch> rows = rows(batch);
            tuned.calibrate(rows.size(), rows::get);
            float before = base.loss(batch);
            assertThat(tuned.loss(batch)).isCloseTo(before, Offset.offset(start == LoraStart.ACTIVATIONS ? 0 : 2e-5f));
            train(scope, tuned, batch);
            float after = tuned.loss(batch);
            assertThat(after).isLessThan(before - 0.05f);
            tuned.adapter().save(folder);
            try (Llama loaded = model(scope, Lora.frozen(folder), Weight.Kind.DENSE)) {
                assertThat(loaded.loss(batch)).isCloseTo(after, Offset.offset(2e-5f));
            }
        }
    }

    private static void train(Scope scope, Llama model, Batch batch) {
        try (AdamW optimiser = new AdamW(scope, model.trainable(), AdamW.Settings.defaults())) {
            for (int step = 0; step < 3; step++) {
                model.zeroGradients();
                model.lossAndGradients(batch);
                optimiser.step(1e-2);
                model.parametersChanged();
            }
        }
    }

    /** Ranks of nothing: layers that explain least lose their adapter, and the file says so. */
    @Test
    void layersWithoutAShareStayAsTheyAre(@TempDir Path folder) {
        PeftLoraConfig config = PeftLoraConfig.builder()
                .rank(1)
                .alpha(1)
                .targetPattern("all-linear")
                .build();
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = model(
                        scope,
                        Lora.create(config, 5)
                                .startingFrom(LoraStart.ACTIVATIONS)
                                .withRankSpread(4),
                        Weight.Kind.DENSE)) {
            Batch batch = golden(scope);
            model.calibrate(1, i -> batch);
            Lora lora = (Lora) model.adapter();
            assertThat(lora.projections().size()).isLessThan(14);
            assertThat(lora.projections().stream()
                            .mapToInt(one -> ((LowRank) one.attachment()).rank())
                            .sum())
                    .isEqualTo(14);
            model.lossAndGradients(batch);
            float loss = model.loss(batch);
            lora.save(folder);
            try (Llama loaded = model(scope, Lora.frozen(folder), Weight.Kind.DENSE)) {
                assertThat(((Lora) loaded.adapter()).projections()).hasSameSizeAs(lora.projections());
                assertThat(loaded.loss(batch)).isEqualTo(loss);
            }
        }
    }

    @Test
    void withoutSpreadRanksStay() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = model(scope, lora(LoraStart.ACTIVATIONS).withRankSpread(1), Weight.Kind.NF4)) {
            Batch batch = golden(scope);
            model.calibrate(1, i -> batch);
            for (Projection projection : ((Lora) model.adapter()).projections()) {
                assertThat(((LowRank) projection.attachment()).rank()).isEqualTo(RANK);
            }
            model.lossAndGradients(batch);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"ACTIVATIONS", "GRADIENT", "COVARIANCE_LARGEST"})
    void factorsHaveTheSameBitsForAnyNumberOfThreads(LoraStart start) {
        assertThat(factors(start, 1)).isEqualTo(factors(start, 3));
    }

    private static List<Integer> factors(LoraStart start, int threads) {
        try (Context context = Context.cpu(threads);
                Scope scope = context.scope();
                Llama model = model(scope, lora(start), Weight.Kind.DENSE)) {
            Batch batch = golden(scope);
            model.calibrate(2, i -> batch);
            return model.trainable().stream()
                    .map(Parameter::value)
                    .map(Tensor::floats)
                    .map(Arrays::hashCode)
                    .toList();
        }
    }

    @Test
    void whatCannotStartIsRefused() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            assertThatThrownBy(() -> model(scope, lora(LoraStart.GRADIENT), Weight.Kind.NF4))
                    .hasMessageContaining("q_proj is NF4");
            assertThatThrownBy(() -> lora(LoraStart.ACTIVATIONS).withRankSpread(0.5))
                    .hasMessageContaining("the largest rank is 0.5 times");
            Batch batch = golden(scope);
            try (Llama model = model(scope, lora(LoraStart.GRADIENT), Weight.Kind.DENSE)) {
                assertThatThrownBy(() -> model.lossAndGradients(batch)).hasMessageContaining("Llama.calibrate");
                assertThatThrownBy(() -> model.calibrate(0, i -> batch)).hasMessageContaining("gradient is not zero");
            }
            PeftLoraConfig wide = PeftLoraConfig.builder()
                    .rank(20)
                    .rankPattern(Map.of())
                    .targets("k_proj")
                    .build();
            try (Llama model = model(scope, Lora.create(wide, 1).startingFrom(LoraStart.GRADIENT), Weight.Kind.DENSE)) {
                assertThatThrownBy(() -> model.calibrate(1, i -> batch)).hasMessageContaining("needs twice the rank");
            }
        }
    }
}
