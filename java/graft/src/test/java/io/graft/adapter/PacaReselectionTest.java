package io.graft.adapter;

import static io.graft.adapter.PacaModels.ALL;
import static io.graft.adapter.PacaModels.batch;
import static io.graft.adapter.PacaModels.changed;
import static io.graft.adapter.PacaModels.columns;
import static io.graft.adapter.PacaModels.config;
import static io.graft.adapter.PacaModels.model;
import static io.graft.adapter.PacaModels.trainer;
import static io.graft.adapter.PacaModels.weights;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.train.Trainer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Other columns while training: what is chosen, what stays behind, and that nothing of it is lost. */
class PacaReselectionTest extends InContext {
    private static final int RANK = 4;

    private static Paca paca(int every, Reselection by, String... targets) {
        return Paca.create(config(RANK, targets)).reselecting(every, by);
    }

    private static List<long[]> allColumns(Paca paca) {
        return paca.projections().stream().map(PacaModels::columns).toList();
    }

    /** All columns that were ever trained differ from the base, and no other ones; base and adapter come back bit by bit. */
    @ParameterizedTest
    @CsvSource({"F32, RANDOM", "BF16, RANDOM", "F32, NORM", "BF16, GRADIENT", "F32, GRADIENT"})
    void whatWasTrainedStaysAndCanBeTakenOut(DType dtype, Reselection by, @TempDir Path folder) {
        Paca paca = paca(2, by, "q_proj", "v_proj", "down_proj");
        try (Llama model = model(scope, dtype, paca);
                Trainer trainer = trainer(model, 7)) {
            List<float[]> before = weights(model);
            List<TreeSet<Long>> ever = new ArrayList<>();
            paca.projections().forEach(projection -> ever.add(new TreeSet<>()));
            int choices = 0;
            List<long[]> last = List.of();
            for (int step = 1; step <= 7; step++) {
                List<long[]> now = allColumns(paca);
                choices += Arrays.deepEquals(now.toArray(), last.toArray()) ? 0 : 1;
                for (int i = 0; i < now.size(); i++) {
                    LongStream.of(now.get(i)).forEach(ever.get(i)::add);
                    assertThat(now.get(i)).doesNotHaveDuplicates().hasSize(RANK);
                }
                last = now;
                trainer.step();
            }
            assertThat(choices).isBetween(by == Reselection.NORM ? 2 : 4, 4);
            List<float[]> after = weights(model);
            for (int i = 0; i < before.size(); i++) {
                int at = paca.projections().indexOf(model.projections().get(i));
                int inputs = (int) model.projections().get(i).weight().k();
                assertThat(changed(before.get(i), after.get(i), inputs))
                        .isEqualTo(at < 0 ? new long[0] : array(ever.get(at)));
            }
            float loss = model.loss(batch(2));
            paca.save(folder.resolve("delta"));
            paca.saveLora(folder.resolve("lora"));
            paca.saveAbsolute(folder.resolve("absolute"));
            Paca same = Paca.frozen(folder.resolve("delta"));
            try (Llama loaded = model(scope, dtype, same)) {
                assertThat(loaded.loss(batch(2))).isEqualTo(loss);
                assertThat(weights(loaded)).usingRecursiveComparison().isEqualTo(after);
                for (int i = 0; i < ever.size(); i++) {
                    assertThat(columns(same.projections().get(i))).isEqualTo(array(ever.get(i)));
                }
            }
            if (dtype == DType.F32) {
                try (Llama lora = model(scope, dtype, Lora.frozen(folder.resolve("lora")));
                        Llama absolute = model(scope, dtype, Paca.frozen(folder.resolve("absolute")))) {
                    Golden.assertClose("lora", lora.logits(batch(2)), model.logits(batch(2)), 1e-5);
                    Golden.assertClose("absolute", absolute.logits(batch(2)), model.logits(batch(2)), 1e-5);
                }
            }
            paca.disable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(before);
            paca.enable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(after);
            model.merge();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(after);
            paca.unmerge();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(before);
        }
    }

    private static long[] array(TreeSet<Long> set) {
        return set.stream().mapToLong(Long::longValue).toArray();
    }

    /** r = 36 of 48 columns: some are always chosen again, and some come back that were trained before. */
    @Test
    void newColumnsStartWithoutMomentsAndOldOnesKeepThem() {
        int rank = 36;
        Paca paca = Paca.create(config(rank, "q_proj")).reselecting(2, Reselection.RANDOM);
        try (Llama model = model(scope, DType.F32, paca);
                Trainer trainer = trainer(model, 100)) {
            Parameter delta = model.trainable().get(0);
            Projection projection = paca.projections().get(0);
            List<Tensor> moments = trainer.optimiser().moments(delta);
            float[] base = projection.weight().matrix().floats();
            int inputs = (int) projection.weight().k();
            for (int round = 0; round < 4; round++) {
                trainer.step();
                long[] before = columns(projection);
                trainer.step();
                long[] after = columns(projection);
                float[] d = delta.value().floats();
                float[] w = projection.weight().matrix().floats();
                int fresh = 0;
                for (int p = 0; p < rank; p++) {
                    boolean stayed = before[p] == after[p];
                    fresh += stayed ? 0 : 1;
                    for (int row = 0; row < projection.weight().n(); row++) {
                        int at = row * rank + p;
                        assertThat(moments.get(0).floats()[at] != 0).isEqualTo(stayed);
                        assertThat(moments.get(1).floats()[at] != 0).isEqualTo(stayed);
                        int entry = (int) (row * inputs + after[p]);
                        assertThat(w[entry]).isEqualTo(base[entry] + 2 * d[at]);
                    }
                    if (!stayed && round == 0) {
                        assertThat(d[p]).isZero();
                    }
                }
                assertThat(fresh).isBetween(1, 12);
                assertThat(LongStream.of(after)
                                .filter(c -> Arrays.stream(before).anyMatch(b -> b == c)))
                        .hasSize(rank - fresh);
            }
        }
    }

    /** At step 1 the weights are the base's, so that full fine-tuning says which gradients are largest. */
    @Test
    void byGradientTakesTheLargestGradientsOfTheStep() {
        Paca paca = paca(1, Reselection.GRADIENT, ALL);
        try (Llama model = model(scope, DType.F32, paca);
                Llama full = model(scope, DType.F32, new Full());
                Trainer trainer = trainer(model, 3)) {
            trainer.step();
            Batch first = new Batch();
            PacaModels.source(2).next(first);
            full.lossAndGradients(first);
            for (Projection projection : paca.projections()) {
                float[] gradient = full.parameter(projection.name()).gradient().floats();
                assertLargest(columns(projection), norms(gradient, (int)
                        projection.weight().k()));
            }
        }
    }

    @Test
    void byNormTakesTheLargestColumnsAsTheyAreThen() {
        Paca paca = paca(3, Reselection.NORM, ALL);
        try (Llama model = model(scope, DType.F32, paca);
                Trainer trainer = trainer(model, 4)) {
            for (int i = 0; i < 3; i++) {
                trainer.step();
            }
            for (Projection projection : paca.projections()) {
                float[] w = projection.weight().matrix().floats();
                assertLargest(
                        columns(projection), norms(w, (int) projection.weight().k()));
            }
        }
    }

    private static double[] norms(float[] matrix, int columns) {
        double[] norms = new double[columns];
        for (int i = 0; i < matrix.length; i++) {
            norms[i % columns] += (double) matrix[i] * matrix[i];
        }
        return norms;
    }

    /** why not equality: the sums are in another order, so that columns at the border may change places. */
    private static void assertLargest(long[] chosen, double[] norms) {
        double least =
                LongStream.of(chosen).mapToDouble(j -> norms[(int) j]).min().orElseThrow();
        assertThat(IntStream.range(0, norms.length).filter(j -> norms[j] > least * (1 + 1e-4)))
                .hasSizeLessThan(RANK);
    }

    @ParameterizedTest
    @EnumSource
    void aRunThatResumesIsTheSameRun(Reselection by, @TempDir Path folder) {
        for (int cut : new int[] {1, 3, 4}) {
            Path file = folder.resolve("run-" + cut);
            for (DType dtype : List.of(DType.F32, DType.BF16)) {
                List<float[]> whole = run(dtype, by, 0, 9, null);
                run(dtype, by, 0, cut, file);
                assertThat(run(dtype, by, cut, 9, file))
                        .usingRecursiveComparison()
                        .isEqualTo(whole);
            }
        }
    }

    /** Steps up to {@code to} of a run of nine: weights, deltas and columns afterwards. */
    private List<float[]> run(DType dtype, Reselection by, int from, int to, Path file) {
        Paca paca = paca(2, by, ALL);
        try (Llama model = model(scope, dtype, paca);
                Trainer trainer = trainer(model, 9)) {
            if (from > 0) {
                trainer.resume(file);
            }
            while (trainer.steps() < to) {
                trainer.step();
            }
            if (file != null && from == 0) {
                trainer.save(file);
            }
            return result(model, paca);
        }
    }

    private static List<float[]> result(Llama model, Paca paca) {
        List<float[]> result = new ArrayList<>(weights(model));
        model.trainable().forEach(parameter -> result.add(parameter.value().floats()));
        for (long[] columns : allColumns(paca)) {
            float[] numbers = new float[columns.length];
            for (int i = 0; i < numbers.length; i++) {
                numbers[i] = columns[i];
            }
            result.add(numbers);
        }
        return result;
    }

    @Test
    void aResumeForgetsWhatWasTrainedBefore(@TempDir Path folder) {
        Path file = folder.resolve("run");
        Paca paca = paca(2, Reselection.RANDOM, ALL);
        try (Llama model = model(scope, DType.BF16, paca);
                Trainer trainer = trainer(model, 9)) {
            for (int i = 0; i < 3; i++) {
                trainer.step();
            }
            trainer.save(file);
            List<float[]> then = result(model, paca);
            for (int i = 0; i < 4; i++) {
                trainer.step();
            }
            trainer.resume(file);
            assertThat(result(model, paca)).usingRecursiveComparison().isEqualTo(then);
        }
    }

    @ParameterizedTest
    @EnumSource
    void threadsAndCheckpointingChangeNoBit(Reselection by) {
        List<List<float[]>> results = new ArrayList<>();
        for (int threads : new int[] {1, 4}) {
            Paca paca = paca(2, by, ALL);
            Llama.Options options = Llama.Options.training(paca).withGradientCheckpointing(threads == 4);
            try (Context own = Context.cpu(threads);
                    Scope inner = own.scope();
                    Llama model = Golden.load(inner, "llama_gqa", DType.BF16, options);
                    Trainer trainer = trainer(model, 5)) {
                trainer.run();
                results.add(result(model, paca));
            }
        }
        assertThat(results.get(1)).usingRecursiveComparison().isEqualTo(results.get(0));
    }

    @Test
    void whatCannotBeIsRefused() {
        assertThatThrownBy(() -> paca(0, Reselection.RANDOM, ALL))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("Paca: columns cannot be chosen again every 0 steps");
        Paca onCodes = paca(2, Reselection.RANDOM, ALL);
        assertThatThrownBy(() -> Golden.load(
                        scope, "llama_gqa", Llama.Options.training(onCodes).withBase(Weight.Kind.NF4)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("model.layers.0.self_attn.q_proj is NF4, whose columns cannot be chosen again");
    }
}
