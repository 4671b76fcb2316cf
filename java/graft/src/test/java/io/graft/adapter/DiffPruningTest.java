package io.graft.adapter;

import static io.graft.adapter.PacaModels.batch;
import static io.graft.adapter.PacaModels.model;
import static io.graft.adapter.PacaModels.trainer;
import static io.graft.adapter.PacaModels.weights;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.graft.io.LlamaConfig;
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
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Diff pruning: gates that learn, a penalty that closes them, and what is kept of the difference. */
class DiffPruningTest extends InContext {
    private static final int RANK = 2;

    private static DiffPruning pruning(boolean structured, double penalty) {
        return DiffPruning.create("base", LlamaConfig.PROJECTIONS, RANK, structured, penalty, 3);
    }

    private static double value(Llama model, int parameter, int index) {
        return model.trainable().get(parameter).master().doubles()[index];
    }

    private static long closed(Llama model) {
        return model.trainable().stream()
                .filter(p -> p.name().endsWith("diff_logits"))
                .mapToLong(p -> {
                    float[] logits = p.master().floats();
                    return IntStream.range(0, logits.length)
                            .filter(i -> logits[i] < 0)
                            .count();
                })
                .sum();
    }

    @ParameterizedTest
    @CsvSource({"F32, false", "BF16, false", "F32, true", "BF16, true"})
    void halfwayTheLargestDifferencesAreKept(DType dtype, boolean structured, @TempDir Path folder) {
        DiffPruning adapter = pruning(structured, 10);
        try (Llama model = model(scope, dtype, adapter);
                Llama base = model(scope, dtype, null);
                Trainer trainer = trainer(model, 20)) {
            assertThat(model.logits(batch(2))).isEqualTo(base.logits(batch(2)));
            List<float[]> before = weights(model);
            long budget = 0;
            long all = 0;
            for (Projection projection : model.projections()) {
                budget += RANK * (projection.weight().n() + projection.weight().k());
                all += projection.weight().n() * projection.weight().k();
            }
            for (int step = 0; step < 9; step++) {
                trainer.step();
            }
            assertThatThrownBy(() -> adapter.save(folder))
                    .hasMessageContaining("after half of the 20 steps, of which 9");
            trainer.step();
            assertThat(closed(model)).isEqualTo(all - budget);
            trainer.run();
            assertThat(closed(model)).isEqualTo(all - budget);
            List<float[]> after = weights(model);
            long changed = 0;
            for (int i = 0; i < before.size(); i++) {
                float[] first = before.get(i);
                float[] second = after.get(i);
                changed += IntStream.range(0, first.length)
                        .filter(j -> first[j] != second[j])
                        .count();
            }
            assertThat(changed).isBetween(budget / 2, budget);
            float loss = model.loss(batch(2));
            adapter.save(folder);
            try (Llama loaded = model(scope, dtype, Shira.frozen(folder))) {
                assertThat(loaded.loss(batch(2))).isEqualTo(loss);
                assertThat(weights(loaded)).usingRecursiveComparison().isEqualTo(after);
            }
            adapter.disable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(before);
            adapter.enable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(after);
            model.merge();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(after);
        }
    }

    /** In float64, of a step with sampled gates: difference quotients of loss and penalty, also of a matrix's own gate. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void gradientsAreDerivativesOfTheLossWithItsPenalty(boolean structured) {
        DiffPruning adapter = pruning(structured, 0.5);
        try (Llama model = model(scope, DType.F64, adapter)) {
            adapter.starting(100);
            for (Parameter parameter : model.trainable()) {
                double[] values = parameter.master().doubles();
                for (int i = 0; i < values.length; i++) {
                    values[i] = parameter.name().endsWith("weight")
                            ? 0.05 * Math.sin(i + 1)
                            : -0.6 + 0.4 * Math.cos(3 * i + parameter.name().length());
                }
                parameter.master().set(values);
            }
            loss(model);
            int nonzero = 0;
            for (int p = 0; p < model.trainable().size(); p++) {
                double[] gradient = model.trainable().get(p).gradient().doubles();
                for (int i = 0; i < Math.min(gradient.length, 400); i += 97) {
                    double start = value(model, p, i);
                    double slope = (moved(model, p, i, start + 1e-5) - moved(model, p, i, start - 1e-5)) / 2e-5;
                    set(model, p, i, start);
                    assertThat(gradient[i])
                            .as(model.trainable().get(p).name() + " " + i)
                            .isCloseTo(slope, within(1e-6 + 1e-5 * Math.abs(slope)));
                    nonzero += gradient[i] == 0 ? 0 : 1;
                }
            }
            assertThat(nonzero).isGreaterThan(20);
        }
    }

    private static double moved(Llama model, int parameter, int index, double value) {
        set(model, parameter, index, value);
        return loss(model);
    }

    private static void set(Llama model, int parameter, int index, double value) {
        Tensor master = model.trainable().get(parameter).master();
        double[] values = master.doubles();
        values[index] = value;
        master.set(values);
    }

    private static double loss(Llama model) {
        model.parametersChanged();
        model.zeroGradients();
        model.lossAndGradients(batch(2));
        double loss = exact(model);
        return loss + model.adapter().regularise();
    }

    /** The loss in double, from the logits. */
    private static double exact(Llama model) {
        Batch batch = batch(2);
        double[] logits = model.logitsTensor(batch).doubles();
        int width = logits.length / batch.ids().length;
        double sum = 0;
        int count = 0;
        for (int at = 0; at < batch.ids().length; at++) {
            if (at % batch.length() == batch.length() - 1) {
                continue;
            }
            double total = 0;
            for (int v = 0; v < width; v++) {
                total += Math.exp(logits[at * width + v]);
            }
            sum += Math.log(total) - logits[at * width + batch.labels()[at + 1]];
            count++;
        }
        return sum / count;
    }

    @Test
    void aLargerPenaltyClosesMoreGates() {
        List<Double> means = new ArrayList<>();
        for (double penalty : new double[] {0, 1000}) {
            try (Llama model = model(scope, DType.F32, pruning(false, penalty));
                    Trainer trainer = trainer(model, 1000)) {
                for (int i = 0; i < 15; i++) {
                    trainer.step();
                }
                means.add(model.trainable().stream()
                        .filter(p -> p.name().endsWith("diff_logits"))
                        .mapToDouble(p -> mean(p.master().floats()))
                        .average()
                        .orElseThrow());
            }
        }
        assertThat(means.get(1)).isLessThan(means.get(0) - 2);
    }

    private static double mean(float[] values) {
        double sum = 0;
        for (float value : values) {
            sum += value;
        }
        return sum / values.length;
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void threadsAndInterruptionsChangeNoBit(boolean structured, @TempDir Path folder) {
        List<float[]> whole = run(2, structured, 12, null, null);
        assertThat(run(4, structured, 12, null, null))
                .usingRecursiveComparison()
                .isEqualTo(whole);
        for (long cut : new long[] {3, 6, 8}) {
            Path file = folder.resolve("run-" + cut);
            run(1, structured, cut, null, file);
            assertThat(run(2, structured, 12, file, null))
                    .usingRecursiveComparison()
                    .isEqualTo(whole);
        }
    }

    private static List<float[]> run(int threads, boolean structured, long steps, Path from, Path to) {
        try (Context own = Context.cpu(threads);
                Scope inner = own.scope();
                Llama model = model(inner, DType.BF16, pruning(structured, 10));
                Trainer trainer = trainer(model, 12)) {
            PacaModels.train(trainer, steps, from, to);
            List<float[]> result = new ArrayList<>(weights(model));
            model.trainable().forEach(p -> result.add(p.master().floats()));
            return result;
        }
    }

    @Test
    void whatCannotBeIsRefused() {
        assertThatThrownBy(() -> pruning(false, -1)).hasMessageContaining("the penalty is -1.0, must be >= 0");
        Llama.Options options = Llama.Options.training(pruning(false, 1)).withBase(Weight.Kind.NF4);
        assertThatThrownBy(() -> Golden.load(scope, "llama_gqa", options)).hasMessageContaining("needs a dense base");
    }
}
