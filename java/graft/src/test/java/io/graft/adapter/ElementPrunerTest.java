package io.graft.adapter;

import static io.graft.adapter.PacaModels.batch;
import static io.graft.adapter.PacaModels.model;
import static io.graft.adapter.PacaModels.trainer;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.LlamaConfig;
import io.graft.io.PeftBitFitConfig;
import io.graft.io.PeftBottleneckConfig;
import io.graft.model.Batch;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Scope;
import io.graft.train.Trainer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Numbers of an adapter that are given up: which, when, and that they stay zero. */
class ElementPrunerTest extends InContext {
    private static BitFit bitFit(double share, boolean whole) {
        return BitFit.create(PeftBitFitConfig.of("base", LlamaConfig.PROJECTIONS))
                .withPruning(share, whole);
    }

    private static Bottleneck sparse(double share) {
        return Bottleneck.create(
                        PeftBottleneckConfig.of("base", List.of("o_proj", "down_proj"), 5, false)
                                .startingRandomly(),
                        3)
                .withSparsity(share);
    }

    private static long zeros(Llama model) {
        return model.trainable().stream()
                .mapToLong(p -> {
                    float[] values = p.master().floats();
                    return IntStream.range(0, values.length)
                            .filter(i -> values[i] == 0)
                            .count();
                })
                .sum();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void biasesAreGivenUpInTheFirstHalf(boolean whole, @TempDir Path folder) {
        BitFit bitFit = bitFit(0.25, whole);
        try (Llama model = model(scope, DType.F32, bitFit);
                Trainer trainer = trainer(model, 20)) {
            long all = bitFit.left();
            List<Long> left = new ArrayList<>();
            for (int step = 1; step <= 20; step++) {
                trainer.step();
                left.add(bitFit.left());
                assertThat(zeros(model)).isGreaterThanOrEqualTo(all - bitFit.left());
            }
            // Cuts at steps 2, 4, 6, 8 and 10 to the powers of a quarter.
            for (int step = 1; step <= 20; step++) {
                int cuts = Math.min(5, step / 2);
                double share = Math.pow(0.25, cuts / 5.0);
                if (whole) {
                    int modules = (int) model.trainable().stream()
                            .filter(p -> IntStream.range(0, p.master().floats().length)
                                    .anyMatch(i -> p.master().floats()[i] != 0))
                            .count();
                    assertThat(step < 20 || modules == (int) Math.ceil(0.25 * 14))
                            .isTrue();
                } else {
                    assertThat(left.get(step - 1)).isEqualTo((long) Math.ceil(share * all));
                }
            }
            assertThat(left).isSortedAccordingTo((a, b) -> Long.compare(b, a));
            float[] logits = model.logits(batch(2));
            bitFit.save(folder);
            try (Llama loaded = model(scope, DType.F32, BitFit.frozen(folder))) {
                assertThat(loaded.logits(batch(2))).isEqualTo(logits);
            }
        }
    }

    /** The numbers that are kept are those of the largest |p · dp| at the start, and only they move. */
    @Test
    void sparseAdaptersKeepWhatMattersAtTheStart() {
        Bottleneck sparse = sparse(0.3);
        try (Llama model = model(scope, DType.F32, sparse);
                Llama whole = model(scope, DType.F32, sparse(1));
                Trainer trainer = trainer(model, 5)) {
            Batch first = new Batch();
            PacaModels.source(2).next(first);
            whole.lossAndGradients(first);
            List<Double> scores = new ArrayList<>();
            for (Parameter parameter : whole.trainable()) {
                float[] p = parameter.master().floats();
                float[] g = parameter.gradient().floats();
                for (int i = 0; i < p.length; i++) {
                    scores.add((double) Math.abs(p[i] * g[i]));
                }
            }
            trainer.step();
            int count = (int) Math.ceil(0.3 * scores.size());
            assertThat(sparse.left()).isEqualTo(count);
            double least = scores.stream()
                    .sorted((a, b) -> Double.compare(b, a))
                    .skip(count - 1)
                    .findFirst()
                    .orElseThrow();
            int at = 0;
            for (int i = 0; i < model.trainable().size(); i++) {
                float[] start = whole.trainable().get(i).master().floats();
                float[] now = model.trainable().get(i).master().floats();
                for (int j = 0; j < now.length; j++) {
                    double score = scores.get(at++);
                    if (score < least * (1 - 1e-6)) {
                        assertThat(now[j]).isZero();
                    } else if (score > least * (1 + 1e-6)) {
                        assertThat(now[j]).isNotZero().isNotEqualTo(start[j]);
                    }
                }
            }
            long zeros = zeros(model);
            trainer.run();
            assertThat(zeros(model)).isEqualTo(zeros);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void threadsAndInterruptionsChangeNoBit(DType dtype, @TempDir Path folder) {
        for (Supplier<Adapter> make :
                List.<Supplier<Adapter>>of(() -> bitFit(0.3, false), () -> bitFit(0.3, true), () -> sparse(0.3))) {
            Path file = folder.resolve("run");
            List<float[]> whole = run(2, dtype, make.get(), 12, null, null);
            assertThat(run(4, dtype, make.get(), 12, null, null))
                    .usingRecursiveComparison()
                    .isEqualTo(whole);
            run(1, dtype, make.get(), 5, null, file);
            assertThat(run(2, dtype, make.get(), 12, file, null))
                    .usingRecursiveComparison()
                    .isEqualTo(whole);
        }
    }

    private static List<float[]> run(int threads, DType dtype, Adapter adapter, long steps, Path from, Path to) {
        try (Context own = Context.cpu(threads);
                Scope inner = own.scope();
                Llama model = model(inner, dtype, adapter);
                Trainer trainer = trainer(model, 12)) {
            PacaModels.train(trainer, steps, from, to);
            List<float[]> result = new ArrayList<>();
            model.trainable().forEach(p -> result.add(p.master().floats()));
            result.add(model.logits(batch(2)));
            return result;
        }
    }

    @Test
    void theStrongestAreCountedExactly() {
        List<boolean[]> kept = ElementPruner.strongest(List.of(new float[] {1, 3, 2}, new float[] {2, 2}), 0.5);
        assertThat(kept.get(0)).containsExactly(false, true, true);
        assertThat(kept.get(1)).containsExactly(true, false);
        assertThat(ElementPruner.strongest(List.of(new float[] {0, 0}), 1).get(0))
                .containsExactly(true, true);
    }

    @Test
    void whatCannotBeIsRefused() {
        assertThatThrownBy(() -> bitFit(0, false)).hasMessage("the share that is kept is 0.0, must be in (0, 1]");
        assertThatThrownBy(() -> Bottleneck.create(PeftBottleneckConfig.of("base", List.of("o_proj"), 5, false), 3)
                        .withSparsity(0.5))
                .hasMessageContaining("sparse adapters need bert");
    }
}
