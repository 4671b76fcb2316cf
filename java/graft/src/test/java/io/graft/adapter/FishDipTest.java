package io.graft.adapter;

import static io.graft.adapter.PacaModels.batch;
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
import io.graft.nn.SparseEntries;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.train.BatchSource;
import io.graft.train.Trainer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Fish-Dip: other entries while training, chosen by the examples that the model predicts worst. */
class FishDipTest extends InContext {
    private static final String[] TARGETS = {"q_proj", "down_proj"};

    private static Shira fishDip(int every, int examples) {
        return Shira.create("base", List.of(TARGETS), 2, EntrySelection.fisher(), 0)
                .reselecting(every, examples);
    }

    /** The first choice is by the first examples, as for FishMask. */
    private static void calibrate(Llama model) {
        Batch rows = new Batch();
        PacaModels.source(2).next(rows);
        model.calibrate(2, i -> {
            Batch row = new Batch();
            row.takeRow(rows, i);
            return row;
        });
    }

    private static TreeSet<Long> entries(Projection projection) {
        int[] indices = ((SparseEntries) projection.attachment()).indices().ints();
        int count = indices.length / 2;
        TreeSet<Long> entries = new TreeSet<>();
        for (int p = 0; p < count; p++) {
            entries.add(indices[p] * projection.weight().k() + indices[count + p]);
        }
        return entries;
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void whatWasTrainedStaysAndCanBeTakenOut(DType dtype, @TempDir Path folder) {
        Shira shira = fishDip(2, 2);
        try (Llama model = model(scope, dtype, shira)) {
            calibrate(model);
            Map<Projection, TreeSet<Long>> ever = new HashMap<>();
            int choices = 0;
            try (Trainer trainer = trainer(model, 7)) {
                List<float[]> before = weights(model);
                List<TreeSet<Long>> last = List.of();
                for (int step = 1; step <= 7; step++) {
                    List<TreeSet<Long>> now = new ArrayList<>();
                    for (Projection projection : shira.projections()) {
                        TreeSet<Long> entries = entries(projection);
                        assertThat((long) entries.size())
                                .isEqualTo(2
                                        * (projection.weight().n()
                                                + projection.weight().k()));
                        ever.computeIfAbsent(projection, p -> new TreeSet<>()).addAll(entries);
                        now.add(entries);
                    }
                    choices += now.equals(last) ? 0 : 1;
                    last = now;
                    trainer.step();
                }
                assertThat(choices).isEqualTo(4);
                List<float[]> after = weights(model);
                for (int i = 0; i < before.size(); i++) {
                    Projection projection = model.projections().get(i);
                    float[] first = before.get(i);
                    float[] second = after.get(i);
                    assertThat(IntStream.range(0, first.length)
                                    .filter(j -> first[j] != second[j])
                                    .allMatch(j -> ever.getOrDefault(projection, new TreeSet<>())
                                            .contains((long) j)))
                            .isTrue();
                }
                float loss = model.loss(batch(2));
                shira.save(folder);
                try (Llama loaded = model(scope, dtype, Shira.frozen(folder))) {
                    assertThat(loaded.loss(batch(2))).isEqualTo(loss);
                    assertThat(weights(loaded)).usingRecursiveComparison().isEqualTo(after);
                }
                shira.disable();
                assertThat(weights(model)).usingRecursiveComparison().isEqualTo(before);
                shira.enable();
                assertThat(weights(model)).usingRecursiveComparison().isEqualTo(after);
                shira.disable();
                model.merge();
                assertThat(weights(model)).usingRecursiveComparison().isEqualTo(after);
            }
        }
    }

    /** Behind step 2: of the rows of both batches the two with the largest loss, and the largest squares of their gradients. */
    @Test
    void theHardestExamplesChoose() {
        Shira shira = fishDip(2, 2);
        try (Llama model = model(scope, DType.F32, shira);
                Llama full = model(scope, DType.F32, new Full())) {
            calibrate(model);
            try (Trainer trainer = trainer(model, 9)) {
                trainer.step();
                Parameter delta = model.trainable().get(0);
                List<Tensor> moments = trainer.optimiser().moments(delta);
                TreeSet<Long> before = entries(shira.projections().get(0));
                trainer.step();
                for (int i = 0; i < full.projections().size(); i++) {
                    full.projections()
                            .get(i)
                            .weight()
                            .matrix()
                            .set(weights(model).get(i));
                }
                List<Batch> rows = new ArrayList<>();
                BatchSource source = PacaModels.source(2);
                for (int step = 0; step < 2; step++) {
                    Batch two = new Batch();
                    source.next(two);
                    for (int i = 0; i < 2; i++) {
                        Batch row = new Batch();
                        row.takeRow(two, i);
                        rows.add(row);
                    }
                }
                rows.sort(Comparator.comparingDouble(row -> -full.loss(row)));
                Map<String, double[]> squares = new HashMap<>();
                for (Batch row : rows.subList(0, 2)) {
                    full.zeroGradients();
                    full.lossAndGradients(row);
                    for (Projection projection : full.projections()) {
                        float[] g = projection.parameter().gradient().floats();
                        double[] sums = squares.computeIfAbsent(projection.module(), m -> new double[g.length]);
                        for (int i = 0; i < g.length; i++) {
                            sums[i] += (double) g[i] * g[i];
                        }
                    }
                }
                for (Projection projection : shira.projections()) {
                    double[] sums = squares.get(projection.module());
                    TreeSet<Long> chosen = entries(projection);
                    double least = chosen.stream()
                            .mapToDouble(p -> sums[p.intValue()])
                            .min()
                            .orElseThrow();
                    assertThat(IntStream.range(0, sums.length).filter(i -> sums[i] > least * (1 + 1e-3)))
                            .hasSizeLessThan(chosen.size());
                }
                Projection first = shira.projections().get(0);
                List<Long> after = List.copyOf(entries(first));
                float[] m = moments.get(0).floats();
                for (int i = 0; i < m.length; i++) {
                    assertThat(m[i] != 0).isEqualTo(before.contains(after.get(i)));
                }
                assertThat(before).isNotEqualTo(entries(first));
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void threadsAndInterruptionsChangeNoBit(DType dtype, @TempDir Path folder) {
        List<float[]> whole = run(2, dtype, 9, null, null);
        assertThat(run(4, dtype, 9, null, null)).usingRecursiveComparison().isEqualTo(whole);
        for (long cut : new long[] {1, 4, 5}) {
            Path file = folder.resolve("run-" + cut);
            run(1, dtype, cut, null, file);
            assertThat(run(2, dtype, 9, file, null)).usingRecursiveComparison().isEqualTo(whole);
        }
    }

    /** Weights, deltas and entries after so many steps of a run of nine. */
    private static List<float[]> run(int threads, DType dtype, long steps, Path from, Path to) {
        Shira shira = fishDip(2, 1);
        try (Context own = Context.cpu(threads);
                Scope inner = own.scope();
                Llama model = model(inner, dtype, shira)) {
            calibrate(model);
            try (Trainer trainer = trainer(model, 9)) {
                PacaModels.train(trainer, steps, from, to);
            }
            List<float[]> result = new ArrayList<>(weights(model));
            model.trainable().forEach(p -> result.add(p.value().floats()));
            for (Projection projection : shira.projections()) {
                float[] places = new float[entries(projection).size()];
                int i = 0;
                for (long place : entries(projection)) {
                    places[i++] = place;
                }
                result.add(places);
            }
            return result;
        }
    }

    @Test
    void whatCannotBeIsRefused() {
        assertThatThrownBy(() -> fishDip(0, 1)).hasMessageContaining("every 0 steps by 1 examples");
        assertThatThrownBy(() -> Shira.create("base", List.of(TARGETS), 2, EntrySelection.magnitude(), 0)
                        .reselecting(2, 2))
                .hasMessage("Shira: entries are chosen again by gradients, which 'magnitude' does not look at");
        Llama.Options options = Llama.Options.training(fishDip(2, 2)).withBase(Weight.Kind.NF4);
        assertThatThrownBy(() -> Golden.load(scope, "llama_gqa", options)).hasMessageContaining("needs a dense base");
    }
}
