package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.PeftLoraConfig;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.LowRank;
import io.graft.nn.Projection;
import io.graft.ops.Nf4;
import io.graft.ops.Random;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.train.AdamW;
import java.nio.file.Path;
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

/** PiSSA, OLoRA and LoftQ: factors against a full decomposition, and whole models against their bases. */
class StartingFactorsTest {
    private static final double SCALE = 2;

    private static SimpleMatrix matrix(Tensor m) {
        return SimpleMatrix.wrap(new DMatrixRMaj((int) m.size(0), (int) m.size(1), true, m.doubles()));
    }

    private static SimpleMatrix product(Tensor a, Tensor b, double scale) {
        return matrix(b).mult(matrix(a)).scale(scale);
    }

    /** The best approximation of a rank, by a full decomposition. */
    private static SimpleMatrix best(SimpleMatrix m, int rank) {
        SimpleSVD<SimpleMatrix> svd = m.svd(true);
        SimpleMatrix sum = new SimpleMatrix(m.getNumRows(), m.getNumCols());
        for (int i = 0; i < rank; i++) {
            sum = sum.plus(svd.getU()
                    .getColumn(i)
                    .mult(svd.getV().getColumn(i).transpose())
                    .scale(svd.getSingleValue(i)));
        }
        return sum;
    }

    @ParameterizedTest
    @CsvSource({"F32,24,20,4", "F32,9,31,9", "F32,1,5,1", "F32,40,40,24", "BF16,33,24,5"})
    void principalIsTheBestApproximation(DType dtype, int n, int k, int rank) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope()) {
            Tensor m = scope.tensor(Memory.BASE, dtype, n, k);
            Random.normal(context, 3, 0, 0, 1, m);
            Tensor a = scope.tensor(Memory.ADAPTER, DType.F32, rank, k);
            Tensor b = scope.tensor(Memory.ADAPTER, DType.F32, n, rank);
            Factors.principal(m, SCALE, 1, a, b);
            SimpleMatrix expected = best(matrix(m), rank);
            assertThat(product(a, b, SCALE).minus(expected).normF()).isLessThan(2e-5 * expected.normF());
            // The singular values are shared evenly.
            SimpleMatrix aa = matrix(a).mult(matrix(a).transpose());
            SimpleMatrix bb = matrix(b).transpose().mult(matrix(b));
            assertThat(aa.minus(bb).normF()).isLessThan(2e-5 * aa.normF());
        }
    }

    /** More directions than are followed: what is left over is that of the best approximation. */
    @Test
    void principalOfAWideMatrix() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope()) {
            Tensor m = scope.tensor(Memory.BASE, DType.F32, 150, 120);
            Random.normal(context, 3, 0, 0, 1, m);
            Tensor a = scope.tensor(Memory.ADAPTER, DType.F32, 8, 120);
            Tensor b = scope.tensor(Memory.ADAPTER, DType.F32, 150, 8);
            Factors.principal(m, 1, 1, a, b);
            double left = matrix(m).minus(product(a, b, 1)).normF();
            double least = matrix(m).minus(best(matrix(m), 8)).normF();
            assertThat(left).isBetween(least * (1 - 1e-5), least * 1.002);
        }
    }

    @ParameterizedTest
    @CsvSource({"24,20,4", "9,31,9", "1,5,1"})
    void orthogonalIsTheStartOfQr(int n, int k, int rank) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope()) {
            Tensor m = scope.tensor(Memory.BASE, DType.F32, n, k);
            Random.normal(context, 3, 0, 0, 1, m);
            Tensor a = scope.tensor(Memory.ADAPTER, DType.F32, rank, k);
            Tensor b = scope.tensor(Memory.ADAPTER, DType.F32, n, rank);
            Factors.orthogonal(m, a, b);
            SimpleMatrix q = matrix(b);
            assertThat(q.transpose().mult(q).minus(SimpleMatrix.identity(rank)).normF())
                    .isLessThan(1e-5);
            assertThat(product(a, b, 1)
                            .cols(0, rank)
                            .minus(matrix(m).cols(0, rank))
                            .normF())
                    .isLessThan(1e-5 * matrix(m).normF());
            SimpleMatrix expected = q.mult(q.transpose()).mult(matrix(m));
            assertThat(product(a, b, 1).minus(expected).normF()).isLessThan(1e-5 * expected.normF());
        }
    }

    @Test
    void aRankAboveTheSidesIsRefused() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Tensor m = scope.tensor(Memory.BASE, DType.F32, 4, 6);
            Tensor a = scope.tensor(Memory.ADAPTER, DType.F32, 5, 6);
            Tensor b = scope.tensor(Memory.ADAPTER, DType.F32, 4, 5);
            assertThatThrownBy(() -> Factors.principal(m, 1, 1, a, b))
                    .hasMessage("the rank is 5, above the sides of the matrix 4 x 6");
        }
    }

    private static Lora lora(LoraStart start, boolean stabilised) {
        PeftLoraConfig config = PeftLoraConfig.builder()
                .rank(4)
                .alpha(6)
                .rankPattern(Map.of("q_proj", 3))
                .alphaPattern(Map.of("down_proj", 5.0))
                .rankStabilised(stabilised)
                .targetPattern("all-linear")
                .build();
        return Lora.create(config, 5).startingFrom(start);
    }

    private static Batch batch() {
        return Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);
    }

    private static Llama model(Scope scope, Adapter adapter, Weight.Kind base) {
        return Golden.load(
                scope, "llama_gqa", DType.F32, Llama.Options.training(adapter).withBase(base));
    }

    private static void train(Scope scope, Llama model) {
        try (AdamW optimiser = new AdamW(scope, model.trainable(), AdamW.Settings.defaults())) {
            for (int step = 0; step < 3; step++) {
                model.zeroGradients();
                model.lossAndGradients(batch());
                optimiser.step(1e-2);
                model.parametersChanged();
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"PRINCIPAL,false", "PRINCIPAL,true", "ORTHOGONAL,false", "ORTHOGONAL,true"})
    void theModelStaysAndTheFileServesTheBase(LoraStart start, boolean stabilised, @TempDir Path folder) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama base = model(scope, null, Weight.Kind.DENSE);
                Llama tuned = model(scope, lora(start, stabilised), Weight.Kind.DENSE)) {
            float before = base.loss(batch());
            assertThat(tuned.loss(batch())).isCloseTo(before, Offset.offset(2e-5f));
            train(scope, tuned);
            float after = tuned.loss(batch());
            assertThat(after).isLessThan(before - 0.1f);
            tuned.adapter().save(folder);
            assertThat(PeftLoraConfig.read(folder).rank("model.layers.0.self_attn.q_proj"))
                    .isEqualTo(6);
            try (Llama loaded = model(scope, Lora.frozen(folder), Weight.Kind.DENSE)) {
                assertThat(loaded.loss(batch())).isCloseTo(after, Offset.offset(2e-5f));
            }
        }
    }

    @Test
    void loftqGivesBackWhatQuantisationTook(@TempDir Path folder) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama base = model(scope, null, Weight.Kind.DENSE);
                Llama tuned = model(scope, lora(LoraStart.QUANTISATION_ERROR, false), Weight.Kind.NF4)) {
            for (int i = 0; i < base.projections().size(); i++) {
                Projection projection = tuned.projections().get(i);
                Weight weight = projection.weight();
                Tensor codes = scope.tensor(Memory.WORKSPACE, DType.F32, weight.n(), weight.k());
                Nf4.dequantize(context, weight, codes);
                SimpleMatrix error =
                        matrix(base.projections().get(i).weight().matrix()).minus(matrix(codes));
                LowRank low = (LowRank) projection.attachment();
                SimpleMatrix left = error.minus(product(low.a().value(), low.b().value(), low.scale()));
                SimpleMatrix least = error.minus(best(error, low.rank()));
                assertThat(left.normF())
                        .as(projection.module())
                        .isLessThan(1.01 * least.normF())
                        .isLessThan(error.normF());
            }
            train(scope, tuned);
            float after = tuned.loss(batch());
            tuned.adapter().save(folder);
            try (Llama loaded = model(scope, Lora.frozen(folder), Weight.Kind.NF4)) {
                assertThat(loaded.loss(batch())).isEqualTo(after);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"PRINCIPAL", "ORTHOGONAL", "QUANTISATION_ERROR"})
    void aStartOnTheWrongBaseIsRefused(LoraStart start) {
        Weight.Kind wrong = start.movesBase() ? Weight.Kind.NF4 : Weight.Kind.DENSE;
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            assertThatThrownBy(() -> model(scope, lora(start, false), wrong))
                    .hasMessageContaining("q_proj is " + wrong);
        }
    }

    @Test
    void doraHasItsOwnStart() {
        PeftLoraConfig dora = PeftLoraConfig.builder()
                .weightDecomposed(true)
                .targets("q_proj")
                .build();
        assertThatThrownBy(() -> Lora.create(dora, 1).startingFrom(LoraStart.PRINCIPAL))
                .hasMessageContaining("use_dora");
    }
}
