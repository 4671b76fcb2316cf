package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.Lora;
import io.graft.io.PeftLoraConfig;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import java.nio.file.Path;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A posterior around an adapter: its precision against the gradients, its draws, its file. */
class LaplaceTest {
    private static final List<Batch> EXAMPLES = List.of(
            Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null),
            Batch.of(1, 4, new int[] {1, 8, 2, 12}, null),
            Batch.of(1, 5, new int[] {5, 5, 3, 2, 9}, null));

    private Context context;
    private Scope scope;
    private Llama model;

    @BeforeEach
    void open() {
        context = Context.cpu(2);
        scope = context.scope();
        model = Golden.load(
                scope, "llama_gqa", Llama.Options.training(Lora.load(Golden.adapter("llama_gqa", "lora_rs"))));
    }

    @AfterEach
    void close() {
        model.close();
        context.close();
    }

    /** Deviations are (F + λ)^-½ of the summed squares of whole examples' gradients, and λ‖θ‖² = Σ F / (F + λ). */
    @Test
    void precisionsAreThoseOfTheExamples(@TempDir Path folder) {
        Laplace posterior = Laplace.fit(model, EXAMPLES.size(), EXAMPLES::get);
        posterior.write(folder);
        double determined = 0;
        double square = 0;
        try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(Laplace.FILE))) {
            assertThat(file.names()).hasSize(model.trainable().size());
            for (Parameter parameter : model.trainable()) {
                double[] information = new double[(int) parameter.value().elements()];
                for (Batch example : EXAMPLES) {
                    model.zeroGradients();
                    // The mean over targets times their number is the sum.
                    model.lossAndGradients(example);
                    float[] gradient = parameter.gradient().floats();
                    for (int i = 0; i < information.length; i++) {
                        information[i] += Math.pow(gradient[i] * (double) model.targets(example), 2);
                    }
                }
                float[] deviations = Golden.floats(scope, file, model.adapter().key(parameter));
                float[] values = parameter.value().floats();
                for (int i = 0; i < information.length; i++) {
                    double expected = 1 / Math.sqrt(information[i] + posterior.prior());
                    assertThat((double) deviations[i]).isCloseTo(expected, Offset.offset(1e-4 * expected));
                    determined += information[i] / (information[i] + posterior.prior());
                    square += (double) values[i] * values[i];
                }
            }
        }
        assertThat(posterior.prior() * square).isCloseTo(determined, Offset.offset(1e-3 * determined));
        assertThat(posterior.meanDeviation()).isPositive();
    }

    @Test
    void drawsSpreadAsTheDeviationsSay(@TempDir Path folder) {
        Laplace fitted = Laplace.fit(model, EXAMPLES.size(), EXAMPLES::get);
        fitted.write(folder);
        Laplace posterior = Laplace.read(model, folder);
        assertThat(posterior.prior()).isEqualTo(fitted.prior());
        Parameter parameter = model.trainable().get(1);
        float[] mean = parameter.value().floats();
        float loss = model.loss(EXAMPLES.get(0));
        double sum = 0;
        int draws = 200;
        double[] deviations = new double[mean.length];
        try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(Laplace.FILE))) {
            float[] stored = Golden.floats(scope, file, model.adapter().key(parameter));
            for (int i = 0; i < stored.length; i++) {
                deviations[i] = stored[i];
            }
        }
        for (int draw = 0; draw < draws; draw++) {
            posterior.draw(draw);
            float[] values = parameter.value().floats();
            for (int i = 0; i < mean.length; i++) {
                sum += Math.pow((values[i] - mean[i]) / deviations[i], 2);
            }
        }
        assertThat(sum / draws / mean.length).isCloseTo(1, Offset.offset(0.05));
        float[] last = parameter.value().floats();
        assertThat(model.loss(EXAMPLES.get(0))).isNotEqualTo(loss);
        posterior.draw(draws - 1);
        assertThat(parameter.value().floats()).isEqualTo(last);
        posterior.mean();
        assertThat(parameter.value().floats()).isEqualTo(mean);
        assertThat(model.loss(EXAMPLES.get(0))).isEqualTo(loss);
    }

    @Test
    void whatHasNoPosteriorIsRefused() {
        Batch nothing = Batch.of(1, 2, new int[] {1, 2}, new int[] {-100, -100});
        assertThatThrownBy(() -> Laplace.fit(model, 1, i -> nothing)).hasMessageContaining("no example has a gradient");
        PeftLoraConfig fresh = PeftLoraConfig.parse("test", """
                {"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"]}""");
        try (Llama zero = Golden.load(scope, "llama_gqa", Llama.Options.training(Lora.create(fresh, 1)))) {
            zero.trainable().get(0).value().set(new float[2 * 48]);
            zero.trainable().get(1).value().set(new float[2 * 48]);
            zero.trainable().get(2).value().set(new float[2 * 48]);
            zero.trainable().get(3).value().set(new float[2 * 48]);
            assertThatThrownBy(() -> Laplace.fit(zero, 3, EXAMPLES::get)).hasMessageContaining("the adapter is zero");
        }
    }
}
