package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.train.Trainer;
import java.nio.file.Path;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Full fine-tuning of chosen parameters: those, with the gradients they have when all are trained, and no others. */
class FullTest {
    private static final String CHOSEN = "model.layers.0.input_layernorm.weight";

    @Test
    void onlyChosenParametersAreTrained() {
        assertThat(gradient(new Full(CHOSEN::equals), 1)).isEqualTo(gradient(new Full(), 21));
    }

    @Test
    void choosingNothingIsRefused() {
        try (Context context = Context.cpu();
                Scope scope = context.scope()) {
            assertThatThrownBy(() -> Golden.load(scope, "llama_gqa", Llama.Options.training(new Full(name -> false))))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("Full.attach: no parameter");
        }
    }

    /** Child-tuning's F: entries are divided by the share or zero, others in the next step, and again after a resume. */
    @Test
    void gradientsAreMaskedAnewInEachStep(@TempDir Path folder) {
        Path file = folder.resolve("run");
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama masked = PacaModels.model(scope, DType.F32, new Full().withGradientMask(0.25, 3));
                Llama plain = PacaModels.model(scope, DType.F32, new Full());
                Llama again = PacaModels.model(scope, DType.F32, new Full().withGradientMask(0.25, 3));
                Trainer trainer = PacaModels.trainer(masked, 9);
                Trainer resumed = PacaModels.trainer(again, 9)) {
            Batch batch = new Batch();
            PacaModels.source(2).next(batch);
            plain.lossAndGradients(batch);
            trainer.step();
            int kept = 0;
            int all = 0;
            for (int i = 0; i < plain.trainable().size(); i++) {
                float[] whole = plain.trainable().get(i).gradient().floats();
                float[] some = masked.trainable().get(i).gradient().floats();
                for (int j = 0; j < whole.length; j++) {
                    if (some[j] != 0) {
                        assertThat(some[j]).isEqualTo(whole[j] * 4);
                        kept++;
                    }
                    all += whole[j] == 0 ? 0 : 1;
                }
            }
            assertThat((double) kept / all).isCloseTo(0.25, within(0.02));
            float[] first = masked.trainable().get(3).gradient().floats();
            trainer.save(file);
            trainer.step();
            float[] second = masked.trainable().get(3).gradient().floats();
            assertThat(IntStream.range(0, first.length).filter(i -> (first[i] == 0) != (second[i] == 0)))
                    .isNotEmpty();
            trainer.step();
            resumed.resume(file);
            resumed.step();
            resumed.step();
            for (int i = 0; i < masked.trainable().size(); i++) {
                assertThat(again.trainable().get(i).master().floats())
                        .isEqualTo(masked.trainable().get(i).master().floats());
            }
        }
        assertThatThrownBy(() -> new Full().withGradientMask(0, 1))
                .hasMessage("Full: the kept share of gradients is 0.0, must be in (0, 1]");
    }

    private static float[] gradient(Full adapter, int trained) {
        try (Context context = Context.cpu();
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_gqa", Llama.Options.training(adapter))) {
            assertThat(model.trainable()).hasSize(trained);
            model.lossAndGradients(Batch.of(1, 5, new int[] {1, 7, 3, 9, 4}, null));
            Parameter parameter = model.parameter(CHOSEN);
            return parameter.gradient().floats();
        }
    }
}
