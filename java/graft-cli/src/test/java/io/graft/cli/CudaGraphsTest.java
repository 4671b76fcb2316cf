package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.model.Batch;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Device;
import io.graft.train.BatchSource;
import io.graft.train.Trainer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Training with {@code --cuda-graph}: the bits of training without it, for every method, or a reason why not all is kept. */
@Tag("emulated")
@EnabledIf(value = "io.graft.cli.CudaTest#emulated", disabledReason = "only a part of the native side was built")
class CudaGraphsTest {
    /** Their passes draw, or ask the device, or bring it values that Java has made. */
    private static final Set<String> CALLED =
            Set.of("dylora", "propetl", "lst", "said", "capaboost", "adamix", "smop", "lora-dropout");

    @TempDir
    Path folder;

    @ParameterizedTest
    @MethodSource("io.graft.cli.SmallMethods#names")
    void graphsTrainToTheSameBits(String name) {
        List<double[]> expected = new ArrayList<>();
        List<double[]> actual = new ArrayList<>();
        assertThat(train(name, false, expected)).isEmpty();
        assertThat(train(name, true, actual)).hasSize(CALLED.contains(name) ? 1 : 0);
        for (int i = 0; i < expected.size(); i++) {
            assertThat(actual.get(i)).as(name + " " + i).isEqualTo(expected.get(i));
        }
    }

    private List<String> train(String name, boolean graphs, List<double[]> results) {
        Method method = Method.named(name);
        Llama.Options options = SmallMethods.training(method, SmallMethods.options(name, folder));
        try (Context context = Context.on(Device.cuda(0));
                OpenModel opened = OpenModel.open(context, SmallMethods.MODEL, DType.F32, options)) {
            Llama llama = opened.llama();
            llama.calibrate(SmallMethods.EXAMPLES, SmallMethods::batch);
            try (Trainer trainer = new Trainer(
                    llama,
                    Trainer.Options.of(SmallMethods.STEPS, method.learningRate())
                            .withDropoutSeed(3)
                            .withGraphs(graphs),
                    new Numbered())) {
                trainer.onStep((step, loss, rate, norm, speed) ->
                                results.add(new double[] {loss, norm, evaluate(llama)}))
                        .run();
                llama.trainable()
                        .forEach(parameter -> results.add(parameter.master().doubles()));
                return trainer.unkept();
            }
        }
    }

    private static double evaluate(Llama llama) {
        return llama.loss(SmallMethods.batch(99));
    }

    /** Another batch for each step. */
    private static final class Numbered implements BatchSource {
        private int next = 20;

        @Override
        public void next(Batch batch) {
            Batch taken = SmallMethods.batch(next++);
            batch.resize(taken.batch(), taken.length());
            System.arraycopy(taken.ids(), 0, batch.ids(), 0, taken.ids().length);
            System.arraycopy(taken.ids(), 0, batch.labels(), 0, taken.ids().length);
        }

        @Override
        public long position() {
            return next;
        }

        @Override
        public void seek(long position) {
            next = (int) position;
        }
    }
}
