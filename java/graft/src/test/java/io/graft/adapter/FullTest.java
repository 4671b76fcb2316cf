package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import org.junit.jupiter.api.Test;

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
