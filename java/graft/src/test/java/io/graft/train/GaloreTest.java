package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.Full;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.ops.Random;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.data.Offset;
import org.ejml.data.DMatrixRMaj;
import org.ejml.simple.SimpleMatrix;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** AdamW with projected gradients: against the algorithm in double, in bytes, and over interruptions. */
class GaloreTest {
    private static AdamW.Settings settings(int rank, int every) {
        return AdamW.Settings.defaults().withGalore(new Galore.Settings(rank, every, 0.25, 7));
    }

    private static SimpleMatrix matrix(Tensor m) {
        return SimpleMatrix.wrap(new DMatrixRMaj((int) m.size(0), (int) m.size(1), true, m.doubles()));
    }

    /** Algorithm 2 step by step, with EJML's decomposition; clipping and decay as AdamW has them. */
    @ParameterizedTest
    @CsvSource({"F32,12,9,3", "F32,7,15,5", "F32,1,6,1", "F32,10,10,9", "F64,6,8,2", "BF16,9,5,2"})
    void stepsAreThoseOfTheAlgorithm(DType dtype, int n, int k, int rank) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope()) {
            Tensor value = scope.tensor(Memory.ADAPTER, dtype, n, k);
            Random.normal(context, 1, 0, 0, 1, value);
            Parameter parameter = new Parameter("w", value).train(scope);
            AdamW.Settings settings = settings(rank, 2);
            boolean projected = rank < Math.min(n, k);
            SimpleMatrix p = matrix(parameter.master());
            SimpleMatrix basis = null;
            SimpleMatrix m = null;
            SimpleMatrix v = null;
            try (AdamW optimiser = new AdamW(scope, List.of(parameter), settings)) {
                for (int step = 1; step <= 5; step++) {
                    Random.normal(context, 2, 1000L * step, 0, 1, parameter.gradient());
                    SimpleMatrix g = matrix(parameter.gradient());
                    double norm = optimiser.step(1e-2);
                    assertThat(norm).isCloseTo(g.normF(), Offset.offset(1e-5 * norm));
                    g = g.scale(Math.min(1, 1 / (g.normF() + 1e-6)));
                    boolean left = n <= k;
                    if (projected && step % 2 == 1) {
                        SimpleMatrix exact = left
                                ? g.svd().getU().cols(0, rank)
                                : g.svd().getV().cols(0, rank);
                        basis = matrix(optimiser.directions(0)).transpose();
                        // why: the signs of singular vectors are free, and moments of old ones mix with new ones.
                        assertThat(basis.transpose()
                                        .mult(exact)
                                        .elementPower(2)
                                        .minus(SimpleMatrix.identity(rank))
                                        .elementMaxAbs())
                                .isLessThan(1e-4);
                    }
                    SimpleMatrix r = !projected ? g : left ? basis.transpose().mult(g) : g.mult(basis);
                    m = m == null ? r.scale(0.1) : m.scale(0.9).plus(r.scale(0.1));
                    v = v == null
                            ? r.elementPower(2).scale(0.001)
                            : v.scale(0.999).plus(r.elementPower(2).scale(0.001));
                    SimpleMatrix u = m.scale(1 / (1 - Math.pow(0.9, step)))
                            .elementDiv(v.scale(1 / (1 - Math.pow(0.999, step)))
                                    .elementPower(0.5)
                                    .plus(1e-8));
                    SimpleMatrix back = !projected ? u : (left ? basis.mult(u) : u.mult(basis.transpose())).scale(0.25);
                    p = p.scale(1 - 1e-2 * 0.01).minus(back.scale(1e-2));
                    SimpleMatrix own = matrix(parameter.master());
                    assertThat(own.minus(p).elementMaxAbs()).as("step " + step).isLessThan(2e-6);
                }
            }
        }
    }

    private static int run(int threads, int rank, int steps, int every) {
        try (Context context = Context.cpu(threads);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_tied", Llama.Options.training(new Full()));
                Trainer trainer = trainer(model, rank, steps, every)) {
            trainer.run();
            return Arrays.hashCode(model.trainable().stream()
                    .mapToInt(one -> Arrays.hashCode(one.master().floats()))
                    .toArray());
        }
    }

    private static Trainer trainer(Llama model, int rank, int steps, int every) {
        Trainer.Options options = Trainer.Options.of(steps, 1e-2)
                .withOptimiser(settings(rank, every).withWeightDecay(0));
        return new Trainer(model, options, TrainerTest.source(2));
    }

    @Test
    void theLossFalls() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_tied", Llama.Options.training(new Full()));
                Trainer trainer = trainer(model, 4, 30, 10)) {
            List<Float> losses = new ArrayList<>();
            trainer.onStep((step, loss, rate, norm, speed) -> losses.add(loss));
            trainer.run();
            assertThat(losses.get(29)).isLessThan(losses.get(0) - 0.5f);
        }
    }

    @Test
    void bitsAreTheSameForAnyNumberOfThreads() {
        assertThat(run(3, 4, 5, 2)).isEqualTo(run(1, 4, 5, 2));
    }

    @Test
    void anInterruptedRunIsTheWholeOne(@TempDir Path folder) {
        Path file = folder.resolve("training.safetensors");
        int whole = run(1, 4, 5, 2);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            try (Llama model = Golden.load(scope, "llama_tied", Llama.Options.training(new Full()));
                    Trainer trainer = trainer(model, 4, 4, 2)) {
                trainer.run();
                trainer.save(file);
            }
            try (Llama model = Golden.load(scope, "llama_tied", Llama.Options.training(new Full()));
                    Trainer trainer = trainer(model, 4, 5, 2)) {
                trainer.resume(file);
                trainer.run();
                assertThat(Arrays.hashCode(model.trainable().stream()
                                .mapToInt(one -> Arrays.hashCode(one.master().floats()))
                                .toArray()))
                        .isEqualTo(whole);
            }
            try (Llama model = Golden.load(scope, "llama_tied", Llama.Options.training(new Full()));
                    Trainer trainer = trainer(model, 5, 5, 2)) {
                assertThatThrownBy(() -> trainer.resume(file)).hasMessageContaining("shape of m/");
            }
            try (Llama model = Golden.load(scope, "llama_tied", Llama.Options.training(new Full()));
                    Trainer trainer = new Trainer(model, Trainer.Options.of(5, 1e-2), TrainerTest.source(2))) {
                assertThatThrownBy(() -> trainer.resume(file)).hasMessageContaining("number of tensors");
            }
        }
    }

    /** Of each matrix r · (2 · longer side + shorter side) numbers, and buffers of one matrix of each shape. */
    @Test
    void theStateIsOfTheProjectedShape() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            List<Parameter> parameters = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                parameters.add(new Parameter("w" + i, scope.tensor(Memory.ADAPTER, DType.F32, 128, 512)).train(scope));
            }
            parameters.add(new Parameter("norm", scope.tensor(Memory.ADAPTER, DType.F32, 512)).train(scope));
            parameters.add(new Parameter("thin", scope.tensor(Memory.ADAPTER, DType.F32, 512, 8)).train(scope));
            assertThat(bytes(scope, parameters, AdamW.Settings.defaults()))
                    .isEqualTo(4 * (2 * 3 * 128 * 512 + 2 * 512 + 2 * 512 * 8) + 8);
            assertThat(bytes(scope, parameters, settings(8, 1)))
                    .isEqualTo(4 * (3 * 8 * (2 * 512 + 128) + 2 * 8 * 512 + 128 + 2 * 512 + 2 * 512 * 8) + 2 * 8);
        }
    }

    private static long bytes(Scope scope, List<Parameter> parameters, AdamW.Settings settings) {
        long before = scope.context().memory(Memory.OPTIMIZER);
        try (AdamW optimiser = new AdamW(scope, parameters, settings)) {
            assertThat(optimiser.steps()).isZero();
            return scope.context().memory(Memory.OPTIMIZER) - before;
        }
    }

    @Test
    void gradientsOfNothingMoveNothing() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Tensor value = scope.tensor(Memory.ADAPTER, DType.F32, 6, 9);
            TensorOps.fill(context, 2, value);
            Parameter parameter = new Parameter("w", value).train(scope);
            try (AdamW optimiser =
                    new AdamW(scope, List.of(parameter), settings(3, 1).withWeightDecay(0))) {
                optimiser.step(1);
                optimiser.step(1);
                assertThat(value.floats()).containsOnly(2);
            }
        }
        assertThatThrownBy(() -> new Galore.Settings(0, 200, 0.25, 0)).hasMessageContaining("rank 0, every 200 steps");
    }
}
