package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.AdaLora;
import io.graft.adapter.Adapter;
import io.graft.adapter.Full;
import io.graft.adapter.Ia3;
import io.graft.adapter.Lora;
import io.graft.adapter.Paca;
import io.graft.adapter.Reselection;
import io.graft.io.PeftAdaLoraConfig;
import io.graft.io.PeftIa3Config;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftPacaConfig;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.ops.Random;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** MeZO: steps along directions that are made again, against the algorithm in double, and what it does without. */
class MezoTest extends InContext {
    private static final Mezo.Settings SETTINGS = new Mezo.Settings(1e-3, 11);

    private static Lora lora() {
        return Lora.create(
                PeftLoraConfig.builder()
                        .rank(4)
                        .alpha(8)
                        .targetPattern("all-linear")
                        .build(),
                3);
    }

    private Llama model(DType dtype, Adapter adapter) {
        return Golden.load(scope, "llama_gqa", dtype, Llama.Options.training(adapter));
    }

    private static Trainer trainer(Llama model, long steps, double rate) {
        return new Trainer(model, Trainer.Options.of(steps, rate).withOptimiser(SETTINGS), TrainerTest.source(2));
    }

    /** Two parameters, one of them with a rate of its own, under the loss Σ c p². */
    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16", "F64"})
    void stepsAreThoseOfTheAlgorithm(DType dtype) {
        Tensor a = scope.tensor(Memory.ADAPTER, dtype, 7, 9);
        Tensor b = scope.tensor(Memory.ADAPTER, dtype, 5);
        Random.normal(context, 1, 0, 0, 1, a);
        Random.normal(context, 2, 0, 0, 1, b);
        List<Parameter> parameters = List.of(
                new Parameter("a", a).train(scope),
                new Parameter("b", b).train(scope).withRateFactor(3));
        List<double[]> expected = new ArrayList<>();
        parameters.forEach(p -> expected.add(p.master().doubles()));
        Optimiser.Objective loss = new Optimiser.Objective() {
            @Override
            public float loss() {
                double sum = 0;
                for (Parameter p : parameters) {
                    for (double value : p.master().doubles()) {
                        sum += 0.1 * value * value;
                    }
                }
                return (float) sum;
            }

            @Override
            public float lossAndGradients() {
                throw new AssertionError("MeZO asks for no gradients");
            }

            @Override
            public float lossAndGradients(Consumer<List<Parameter>> finished) {
                return lossAndGradients();
            }
        };
        try (Mezo mezo = new Mezo(parameters, new Mezo.Settings(0.125, 11))) {
            for (long step = 0; step < 3; step++) {
                Tensor z = scope.tensor(Memory.WORKSPACE, DType.F64, 68);
                Random.normal(context, 11, step << 44, 0, 1, z);
                double[] direction = z.doubles();
                double slope = 0;
                double before = 0;
                int at = 0;
                for (double[] values : expected) {
                    for (double value : values) {
                        slope += 0.2 * value * direction[at++];
                        before += 0.1 * value * value;
                    }
                }
                // Of a quadratic loss the difference is the slope itself, and the mean is the loss and ε² Σ c z².
                double curvature = 0;
                for (double number : direction) {
                    curvature += 0.1 * 0.125 * 0.125 * number * number;
                }
                assertThat((double) mezo.step(loss, 0.01)).isCloseTo(before + curvature, Offset.offset(1e-5 * before));
                assertThat(mezo.gradientNorm()).isCloseTo(Math.abs(slope), Offset.offset(1e-4));
                at = 0;
                for (int i = 0; i < 2; i++) {
                    double[] actual = parameters.get(i).master().doubles();
                    for (int j = 0; j < actual.length; j++) {
                        expected.get(i)[j] -= 0.01 * (i == 0 ? 1 : 3) * slope * direction[at++];
                        assertThat(actual[j]).isCloseTo(expected.get(i)[j], Offset.offset(2e-5));
                    }
                    if (parameters.get(i).computeCopy() != null) {
                        Tensor rounded = scope.tensor(Memory.WORKSPACE, dtype, actual.length);
                        assertThat(parameters.get(i).value().floats())
                                .isEqualTo(rounded.set(actual).floats());
                    }
                }
            }
            assertThat(mezo.steps()).isEqualTo(3);
        }
    }

    /** On a whole model in float64: the slope is that of the gradient along the direction. */
    @Test
    void theSlopeIsThatOfTheGradient() {
        try (Llama moved = model(DType.F64, new Full());
                Llama full = model(DType.F64, new Full());
                Trainer trainer = trainer(moved, 1, 1e-3)) {
            Batch batch = new Batch();
            TrainerTest.source(2).next(batch);
            full.lossAndGradients(batch);
            trainer.step();
            long offset = 0;
            double slope = 0;
            for (Parameter parameter : full.trainable()) {
                Tensor z = scope.tensor(
                        Memory.WORKSPACE, DType.F64, parameter.value().elements());
                Random.normal(context, 11, offset, 0, 1, z);
                offset += z.elements();
                double[] g = parameter.gradient().doubles();
                double[] direction = z.doubles();
                for (int i = 0; i < g.length; i++) {
                    slope += g[i] * direction[i];
                }
            }
            double found = trainer.optimiser().gradientNorm();
            assertThat(found).isCloseTo(Math.abs(slope), Offset.offset(2e-3 + 1e-2 * Math.abs(slope)));
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void nothingIsKeptBesideTheParameters(DType dtype) {
        long inference;
        try (Context own = Context.cpu(1);
                Scope inner = own.scope();
                Llama model = Golden.load(inner, "llama_gqa", dtype, Llama.Options.inference())) {
            Batch batch = new Batch();
            TrainerTest.source(2).next(batch);
            model.loss(batch);
            inference = own.memory(Memory.ACTIVATION);
        }
        try (Context own = Context.cpu(1);
                Scope inner = own.scope();
                Llama model = Golden.load(inner, "llama_gqa", dtype, Llama.Options.training(new Full()));
                Trainer trainer = trainer(model, 2, 1e-4)) {
            float[] before = model.trainable().get(3).master().floats();
            trainer.run();
            assertThat(model.trainable().get(3).master().floats()).isNotEqualTo(before);
            assertThat(own.memory(Memory.GRADIENT)).isZero();
            assertThat(own.memory(Memory.OPTIMIZER)).isZero();
            assertThat(own.memory(Memory.ACTIVATION)).isEqualTo(inference);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void threadsAndInterruptionsChangeNoBit(DType dtype, @TempDir Path folder) {
        Path file = folder.resolve("run");
        List<float[]> whole = run(2, dtype, 6, null, null);
        assertThat(run(1, dtype, 6, null, null)).usingRecursiveComparison().isEqualTo(whole);
        assertThat(run(4, dtype, 6, null, null)).usingRecursiveComparison().isEqualTo(whole);
        run(2, dtype, 2, null, file);
        assertThat(run(2, dtype, 6, file, null)).usingRecursiveComparison().isEqualTo(whole);
    }

    private static List<float[]> run(int threads, DType dtype, long steps, Path from, Path to) {
        try (Context own = Context.cpu(threads);
                Scope inner = own.scope();
                Llama model = Golden.load(inner, "llama_gqa", dtype, Llama.Options.training(lora()));
                Trainer trainer = trainer(model, steps, 1e-3)) {
            if (from != null) {
                trainer.resume(from);
            }
            trainer.run();
            if (to != null) {
                trainer.save(to);
            }
            return model.trainable().stream().map(p -> p.master().floats()).toList();
        }
    }

    @Test
    void accumulatedBatchesAreOneBatch() {
        try (Llama one = model(DType.F32, lora());
                Llama many = model(DType.F32, lora());
                Trainer whole =
                        new Trainer(one, Trainer.Options.of(1, 0.01).withOptimiser(SETTINGS), TrainerTest.source(4));
                Trainer split = new Trainer(
                        many,
                        Trainer.Options.of(1, 0.01).withOptimiser(SETTINGS).withAccumulation(4),
                        TrainerTest.source(1))) {
            assertThat(split.step()).isCloseTo(whole.step(), Offset.offset(1e-5f));
            assertThat(split.optimiser().gradientNorm())
                    .isCloseTo(whole.optimiser().gradientNorm(), Offset.offset(5e-3));
        }
    }

    @Test
    void theLossFalls() {
        Ia3 few = Ia3.create(PeftIa3Config.of("base", PeftIa3Config.LLAMA_TARGETS));
        try (Llama model = model(DType.F32, few);
                Trainer trainer = new Trainer(
                        model, Trainer.Options.of(300, 0.02).withOptimiser(SETTINGS), TrainerTest.source(10))) {
            float first = trainer.step();
            trainer.run();
            assertThat(trainer.step()).isLessThan(first - 0.1f);
        }
    }

    @Test
    void whatLooksAtGradientsIsRefused() {
        Adapter byGradient = Paca.create(
                        PeftPacaConfig.builder().rank(2).targets("q_proj").build())
                .reselecting(2, Reselection.GRADIENT);
        Adapter adaLora = AdaLora.create(
                PeftAdaLoraConfig.of("base", List.of("q_proj"), 3, 2, 4, 0, PeftAdaLoraConfig.Schedule.of(10)), 1);
        for (Adapter adapter : List.of(byGradient, adaLora)) {
            try (Llama model = model(DType.F32, adapter)) {
                assertThatThrownBy(() -> trainer(model, 1, 1))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessage("Trainer: " + adapter.getClass().getSimpleName()
                                + " looks at gradients, of which there are none with Mezo");
            }
        }
        assertThatThrownBy(() -> new Mezo.Settings(0, 1)).hasMessage("Mezo: epsilon is 0.0, must be positive");
        Parameter frozen = new Parameter("p", scope.tensor(Memory.ADAPTER, DType.F32, 2));
        assertThatThrownBy(() -> new Mezo(List.of(frozen), SETTINGS)).hasMessage("Mezo: p (frozen) is not trained");
    }

    @Test
    void aCheckpointOfAnotherOptimiserIsRefused(@TempDir Path folder) {
        Path file = folder.resolve("run");
        try (Llama model = model(DType.F32, lora());
                Trainer mezo = trainer(model, 1, 1e-3);
                Trainer adamw = new Trainer(model, Trainer.Options.of(1, 1e-3), TrainerTest.source(2))) {
            mezo.save(file);
            assertThatThrownBy(() -> adamw.resume(file))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("number of tensors");
        }
    }
}
