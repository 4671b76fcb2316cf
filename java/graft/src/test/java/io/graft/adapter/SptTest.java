package io.graft.adapter;

import static io.graft.adapter.PacaModels.batch;
import static io.graft.adapter.PacaModels.model;
import static io.graft.adapter.PacaModels.trainer;
import static io.graft.adapter.PacaModels.weights;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.LlamaConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.LargestEntries;
import io.graft.nn.LowRank;
import io.graft.nn.Projection;
import io.graft.nn.SparseEntries;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.train.BatchSource;
import io.graft.train.Trainer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** SPT: one budget for all layers, spent as LoRA or as entries by where the model is sensitive. */
class SptTest extends InContext {
    private static final int RANK = 3;
    private static final int EXAMPLES = 3;

    private static Spt spt() {
        PeftLoraConfig config = PeftLoraConfig.builder()
                .rank(RANK)
                .alpha(6)
                .targets(LlamaConfig.PROJECTIONS.toArray(String[]::new))
                .build();
        return Spt.create("base", config, 4);
    }

    private static Batch example(int i) {
        Batch two = new Batch();
        BatchSource source = PacaModels.source(2);
        source.seek(i);
        source.next(two);
        Batch row = new Batch();
        row.takeRow(two, 0);
        return row;
    }

    private static void calibrate(Llama model) {
        model.calibrate(EXAMPLES, SptTest::example);
    }

    @Test
    void theBudgetGoesWhereTheModelIsSensitive(@TempDir Path folder) {
        Map<String, double[]> squares = new LinkedHashMap<>();
        long budget = 0;
        try (Llama full = model(scope, DType.F32, new Full())) {
            for (int i = 0; i < EXAMPLES; i++) {
                full.zeroGradients();
                full.lossAndGradients(example(i));
                for (Projection projection : full.projections()) {
                    float[] g = projection.parameter().gradient().floats();
                    double[] sums = squares.computeIfAbsent(projection.module(), m -> new double[g.length]);
                    for (int j = 0; j < g.length; j++) {
                        sums[j] += (double) g[j] * g[j];
                    }
                }
            }
            for (Projection projection : full.projections()) {
                budget += RANK * (projection.weight().n() + projection.weight().k());
            }
        }
        double[] all = squares.values().stream()
                .flatMapToDouble(Arrays::stream)
                .sorted()
                .toArray();
        double least = all[all.length - (int) budget];
        Spt spt = spt();
        try (Llama model = model(scope, DType.F32, spt);
                Llama base = model(scope, DType.F32, null)) {
            assertThatThrownBy(() -> model.lossAndGradients(batch(2)))
                    .hasMessageContaining("Llama.calibrate comes first");
            calibrate(model);
            assertThat(model.logits(batch(2))).isEqualTo(base.logits(batch(2)));
            int structured = 0;
            int single = 0;
            for (Projection projection : model.projections()) {
                double[] sums = squares.get(projection.module());
                long clear =
                        Arrays.stream(sums).filter(s -> s > least * (1 + 1e-4)).count();
                long possible =
                        Arrays.stream(sums).filter(s -> s > least * (1 - 1e-4)).count();
                long numbers =
                        RANK * (projection.weight().n() + projection.weight().k());
                if (projection.attachment() instanceof LowRank) {
                    assertThat(possible).isGreaterThanOrEqualTo(numbers);
                    structured++;
                } else if (projection.attachment() instanceof SparseEntries part) {
                    long count = part.indices().size(1);
                    assertThat(count).isBetween(clear, possible).isLessThan(numbers);
                    long[] places = EntryReselector.places(
                            part.indices(), projection.weight().k());
                    assertThat(LongStream.of(places).allMatch(p -> sums[(int) p] > least * (1 - 1e-4)))
                            .isTrue();
                    single++;
                } else {
                    assertThat(clear).isZero();
                }
            }
            assertThat(structured).isPositive();
            assertThat(single).isPositive();
            PacaModels.train(model, 4);
            float[] logits = model.logits(batch(2));
            spt.save(folder);
            Combined again =
                    Combined.load(folder, part -> part.endsWith("lora") ? Lora.frozen(part) : Shira.frozen(part));
            try (Llama loaded = model(scope, DType.F32, again)) {
                assertThat(loaded.logits(batch(2))).isEqualTo(logits);
            }
            List<float[]> before = weights(model);
            model.merge();
            Golden.assertClose("merged", model.logits(batch(2)), logits, 1e-5);
            assertThat(weights(model)).usingRecursiveComparison().isNotEqualTo(before);
        }
    }

    @Test
    void anInterruptedRunIsTheSameRun(@TempDir Path folder) {
        Path file = folder.resolve("run");
        List<float[]> whole = run(2, 6, null, null);
        run(1, 3, null, file);
        assertThat(run(4, 6, file, null)).usingRecursiveComparison().isEqualTo(whole);
    }

    private static List<float[]> run(int threads, long steps, Path from, Path to) {
        try (Context own = Context.cpu(threads);
                Scope inner = own.scope();
                Llama model = model(inner, DType.BF16, spt())) {
            calibrate(model);
            try (Trainer trainer = trainer(model, steps)) {
                PacaModels.train(trainer, steps, from, to);
            }
            List<float[]> result = new ArrayList<>(weights(model));
            model.trainable().forEach(p -> result.add(p.master().floats()));
            return result;
        }
    }

    @Test
    void largestEntriesAreThoseOfASort() {
        SplittableRandom random = new SplittableRandom(5);
        List<Tensor> scores = new ArrayList<>();
        List<double[]> all = new ArrayList<>();
        for (int[] shape : new int[][] {{37, 1021}, {1, 1}, {300, 77}}) {
            Tensor score = scope.tensor(Memory.WORKSPACE, DType.F32, shape[0], shape[1]);
            float[] values = new float[shape[0] * shape[1]];
            for (int i = 0; i < values.length; i++) {
                values[i] = random.nextInt(4) == 0 ? 0.5f : (float) Math.exp(20 * random.nextDouble() - 10);
                all.add(new double[] {values[i], scores.size(), i});
            }
            scores.add(score.set(values));
        }
        all.sort((a, b) -> Double.compare(b[0], a[0]));
        for (int count : new int[] {1, 10, 20000, 40000, all.size()}) {
            LargestEntries largest = LargestEntries.of(scores, count);
            for (int which = 0; which < scores.size(); which++) {
                int index = which;
                long[] expected = all.subList(0, count).stream()
                        .filter(one -> one[1] == index)
                        .mapToLong(one -> (long) one[2])
                        .sorted()
                        .toArray();
                assertThat(largest.of(which)).isEqualTo(expected);
            }
        }
        Tensor wide = scope.tensor(Memory.WORKSPACE, DType.F64, 2, 2);
        assertThatThrownBy(() -> LargestEntries.of(List.of(wide), 1)).hasMessageContaining("fp32 scores, not F64");
    }

    @Test
    void codesAreRefused() {
        Llama.Options options = Llama.Options.training(spt()).withBase(Weight.Kind.NF4);
        assertThatThrownBy(() -> Golden.load(scope, "llama_gqa", options))
                .hasMessageContaining("q_proj is NF4; sensitivities need a dense base");
    }
}
