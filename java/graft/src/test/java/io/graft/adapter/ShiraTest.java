package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.binding.GraftArgumentException;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.SparseEntries;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Sparse entries in a whole model: they start at the base model, nothing else changes, and each is chosen as it says. */
class ShiraTest extends InContext {
    private static final int RANK = 2;

    private static Shira shira(EntrySelection selection, String... targets) {
        return Shira.create("base", List.of(targets), RANK, selection, 3);
    }

    private static Batch batch(int shift) {
        return Batch.of(1, 7, new int[] {1 + shift, 7, 3 + shift, 9, 4, 30 + shift, 11}, null);
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

    /** Something that every trained entry notices. */
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

    /** The entries of a projection, each row · in + column, in the order of their values. */
    private static long[] entries(Projection projection) {
        long[] indices = ((SparseEntries) projection.attachment()).indices().longs();
        int count = indices.length / 2;
        return IntStream.range(0, count)
                .mapToLong(p -> indices[p] * projection.weight().k() + indices[count + p])
                .toArray();
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void startsAtTheBaseAndChangesItsEntriesOnly(DType dtype) {
        Shira shira = shira(EntrySelection.random(3), "q_proj", "o_proj", "down_proj");
        try (Llama model = model(dtype, shira);
                Llama base = model(dtype, new Full())) {
            List<float[]> before = weights(base);
            float start = base.lossAndGradients(batch(0));
            assertThat(model.lossAndGradients(batch(0))).isEqualTo(start);
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(before);
            move(model);
            assertThat(model.lossAndGradients(batch(0))).isNotEqualTo(start);
            List<float[]> after = weights(model);
            for (int i = 0; i < before.size(); i++) {
                Projection projection = model.projections().get(i);
                long[] trained = projection.attachment() == null ? new long[0] : entries(projection);
                assertThat(trained).isSorted().doesNotHaveDuplicates();
                float[] was = before.get(i);
                float[] is = after.get(i);
                long[] changed = IntStream.range(0, was.length)
                        .filter(j -> was[j] != is[j])
                        .asLongStream()
                        .toArray();
                assertThat(changed).isEqualTo(trained);
            }
            shira.disable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(before);
            shira.enable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(after);
        }
    }

    @Test
    void filesComeBack(@TempDir Path folder) {
        Shira shira = shira(EntrySelection.magnitude(), "q_proj", "up_proj");
        try (Llama model = model(DType.F32, shira)) {
            model.lossAndGradients(batch(0));
            move(model);
            float loss = model.lossAndGradients(batch(0));
            shira.save(folder);
            Shira same = Shira.load(folder);
            assertThat(same.config().maskType()).isEqualTo("magnitude");
            assertThat(same.needsCalibration()).isFalse();
            try (Llama again = model(DType.F32, same)) {
                assertThat(again.lossAndGradients(batch(0))).isEqualTo(loss);
                assertThat(weights(again)).usingRecursiveComparison().isEqualTo(weights(model));
            }
        }
    }

    @Test
    void mergingLeavesTheTrainedModel() {
        Shira shira = shira(EntrySelection.random(1), "v_proj");
        try (Llama model = model(DType.F32, shira)) {
            model.lossAndGradients(batch(0));
            move(model);
            List<float[]> trained = weights(model);
            shira.disable();
            shira.merge();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(trained);
            assertThat(model.projections()).allMatch(projection -> projection.attachment() == null);
        }
    }

    /** The count largest (sign 1) or smallest (sign -1) of the scores, ascending; of equal ones the first. */
    private static long[] best(double[] scores, int count, int sign) {
        return LongStream.range(0, scores.length)
                .boxed()
                .sorted((a, b) -> sign * Double.compare(scores[b.intValue()], scores[a.intValue()]))
                .limit(count)
                .mapToLong(Long::longValue)
                .sorted()
                .toArray();
    }

    private static double[] scores(float[] a, float[] b) {
        return IntStream.range(0, a.length)
                .mapToDouble(i -> Math.abs(a[i] * b[i]))
                .toArray();
    }

    private static float[] ones(int count) {
        float[] ones = new float[count];
        Arrays.fill(ones, 1);
        return ones;
    }

    @Test
    void magnitudesAreTheLargestOrTheSmallest() {
        Shira largest = shira(EntrySelection.magnitude(), "k_proj");
        Shira smallest = shira(EntrySelection.smallest(), "k_proj");
        try (Llama one = model(DType.F32, largest);
                Llama other = model(DType.F32, smallest)) {
            for (int i = 0; i < largest.projections().size(); i++) {
                long[] high = entries(largest.projections().get(i));
                long[] low = entries(smallest.projections().get(i));
                float[] w = largest.projections().get(i).weight().matrix().floats();
                double[] scores = scores(w, ones(w.length));
                assertThat(high).isEqualTo(best(scores, high.length, 1));
                assertThat(low).isEqualTo(best(scores, low.length, -1));
            }
        }
    }

    @Test
    void randomEntriesFollowTheSeedAndFillTheMatrix() {
        assertThat(random(3, RANK)).isEqualTo(random(3, RANK)).isNotEqualTo(random(4, RANK));
        assertThat(random(3, RANK)).isSorted().doesNotHaveDuplicates().hasSize(RANK * 96);
        assertThat(random(3, 23)).isSorted().doesNotHaveDuplicates().hasSize(23 * 96);
        assertThat(random(3, 24)).isEqualTo(LongStream.range(0, 48 * 48).toArray());
    }

    private long[] random(long seed, int rank) {
        Shira shira = Shira.create("base", List.of("q_proj"), rank, EntrySelection.random(seed), seed);
        try (Llama model = model(DType.F32, shira)) {
            return entries(shira.projections().get(0));
        }
    }

    /** Gradients of single examples, from full fine-tuning. */
    @Test
    void calibrationChoosesByGradients() {
        List<String> names = List.of("gate_proj", "down_proj");
        List<Map<String, float[]>> examples = new ArrayList<>();
        try (Llama full =
                model(DType.F32, new Full(name -> name.contains("gate_proj") || name.contains("down_proj")))) {
            for (int i = 0; i < 3; i++) {
                full.zeroGradients();
                full.lossAndGradients(batch(i));
                Map<String, float[]> gradients = new HashMap<>();
                for (Parameter parameter : full.trainable()) {
                    gradients.put(parameter.name(), parameter.gradient().floats());
                }
                examples.add(gradients);
            }
        }
        for (EntrySelection selection : List.of(
                EntrySelection.gradient(),
                EntrySelection.snip(),
                EntrySelection.fisher(),
                EntrySelection.secondOrder())) {
            Shira shira = shira(selection, names.toArray(String[]::new));
            try (Llama model = model(DType.F32, shira)) {
                assertThat(shira.needsCalibration()).isTrue();
                List<float[]> before = weights(model);
                shira.calibrate(3, i -> model.lossAndGradients(batch(i)));
                assertThat(shira.needsCalibration()).isFalse();
                assertThat(weights(model)).usingRecursiveComparison().isEqualTo(before);
                assertThat(model.trainable())
                        .allMatch(parameter -> LongStream.range(
                                        0, parameter.gradient().elements())
                                .allMatch(p -> parameter.gradient().floats()[(int) p] == 0));
                for (Projection projection : shira.projections()) {
                    float[] w = projection.weight().matrix().floats();
                    float[] sums = new float[w.length];
                    float[] squares = new float[w.length];
                    double mean = 0;
                    for (Map<String, float[]> gradients : examples) {
                        float[] g = gradients.get(projection.name());
                        for (int j = 0; j < sums.length; j++) {
                            sums[j] += g[j];
                            squares[j] += g[j] * g[j];
                            mean += (double) g[j] * g[j] / g.length;
                        }
                    }
                    double damping = mean;
                    double[] scores = switch (selection.name()) {
                        case "fisher" -> scores(squares, ones(w.length));
                        case "snip" -> scores(sums, w);
                        case "second_order" ->
                            IntStream.range(0, w.length)
                                    .mapToDouble(j -> (double) sums[j] * sums[j] / (squares[j] + damping))
                                    .toArray();
                        default -> scores(sums, ones(w.length));
                    };
                    assertChosen(entries(projection), scores);
                }
                model.lossAndGradients(batch(0));
                move(model);
                assertThat(weights(model)).usingRecursiveComparison().isNotEqualTo(before);
            }
        }
    }

    /** why not equality: the sums are in another order, so that entries at the border may change places. */
    private static void assertChosen(long[] chosen, double[] scores) {
        double border = scores[(int) best(scores, chosen.length, 1)[0]];
        for (long entry : best(scores, chosen.length, 1)) {
            border = Math.min(border, scores[(int) entry]);
        }
        for (long entry : chosen) {
            assertThat(scores[(int) entry]).isGreaterThanOrEqualTo(border * (1 - 1e-4));
        }
        assertThat(chosen).isSorted().doesNotHaveDuplicates();
    }

    @Test
    void trainingBeforeCalibrationIsRefused() {
        Shira shira = shira(EntrySelection.fisher(), "q_proj");
        try (Llama model = model(DType.F32, shira)) {
            assertThatThrownBy(() -> model.lossAndGradients(batch(0)))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("no entries are chosen for", "q_proj");
            shira.calibrate(1, i -> model.lossAndGradients(batch(i)));
            assertThatThrownBy(() -> shira.calibrate(1, i -> {})).isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void changesAreThoseOfAnotherTraining(@TempDir Path folder) {
        List<float[]> trained = new ArrayList<>();
        try (Llama full = model(DType.F32, new Full())) {
            full.lossAndGradients(batch(0));
            Projection projection = full.projections().get(0);
            float[] gradient = projection.parameter().gradient().floats();
            float[] w = projection.weight().matrix().floats();
            for (int i = 0; i < w.length; i++) {
                w[i] -= gradient[i];
            }
            projection.weight().matrix().set(w);
            trained.add(w);
            full.save(folder);
        }
        Shira shira = shira(EntrySelection.change(folder), "q_proj");
        try (Llama model = model(DType.F32, shira)) {
            Projection projection = shira.projections().get(0);
            float[] w = projection.weight().matrix().floats();
            double[] change = IntStream.range(0, w.length)
                    .mapToDouble(i -> Math.abs(trained.get(0)[i] - w[i]))
                    .toArray();
            assertThat(entries(projection)).isEqualTo(best(change, entries(projection).length, 1));
        }
    }

    @Test
    void givenEntriesMustAscendAndBeAsManyAsTheConfigurationSays() {
        long[] right = LongStream.range(0, RANK * 96).map(p -> 3 * p).toArray();
        assertThat(given(right)).isEqualTo(right);
        long[] swapped = right.clone();
        swapped[0] = right[1];
        swapped[1] = right[0];
        assertThatThrownBy(() -> given(swapped))
                .isInstanceOf(GraftArgumentException.class)
                .hasMessageContaining("must ascend");
        assertThatThrownBy(() -> given(1, 2))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("2 entries are given for model.layers.0.self_attn.q_proj, expected 192");
    }

    private long[] given(long... entries) {
        String module = "model.layers.0.self_attn.q_proj";
        Shira shira = shira(EntrySelection.given(Map.of(module, entries)), module);
        try (Llama model = model(DType.F32, shira)) {
            return entries(shira.projections().get(0));
        }
    }

    @Test
    void whatDoesNotFitIsRefused() {
        Shira tooMany = Shira.create("base", List.of("q_proj"), 25, EntrySelection.magnitude(), 0);
        assertThatThrownBy(() -> model(DType.F32, tooMany))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("r is 25, which makes 2400 entries of model.layers.0.self_attn.q_proj", "2304");
    }
}
