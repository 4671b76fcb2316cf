package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Factors composed while a model runs with them. */
class LoraHubTest {
    private static final Path LORA = Golden.adapter("llama_gqa", "lora");

    @TempDir
    Path folder;

    /** (Σ w B)(Σ w A): twice the same adapter with weights that add up to two has four times its change. */
    @Test
    void bothFactorsAreSummed() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            LoraHub hub = new LoraHub(context, List.of(LORA, LORA));
            try (Llama model = Golden.load(scope, "llama_gqa", Llama.Options.training(hub.adapter()))) {
                hub.set(0.5, 1.5);
                model.parametersChanged();
                hub.adapter().save(folder);
            }
            Map<String, StoredTensors.Values> before = StoredTensors.read(context, LORA);
            StoredTensors.read(context, folder).forEach((key, values) -> {
                for (int i = 0; i < values.floats().length; i++) {
                    assertThat(values.floats()[i]).isEqualTo(2 * before.get(key).floats()[i]);
                }
            });
        }
    }

    @Test
    void whatDoesNotFitIsRefused() {
        try (Context context = Context.cpu(1)) {
            refused(context, LORA, Golden.adapter("llama_gqa", "lora_rs"), "field 'target_modules'");
            refused(context, LORA, Golden.adapter("llama_tied", "lora"), "its tensors are not those of");
            Path dora = Golden.adapter("llama_gqa", "dora");
            refused(context, dora, dora, "cannot be composed");
            assertThatThrownBy(() -> new LoraHub(context, List.of(LORA))).hasMessageContaining("are not several");
            assertThatThrownBy(() -> new LoraHub(context, List.of(LORA, LORA)).set(1))
                    .hasMessageContaining("1 weights for 2 adapters");
        }
    }

    private static void refused(Context context, Path first, Path second, String message) {
        assertThatThrownBy(() -> new LoraHub(context, List.of(first, second))).hasMessageContaining(message);
    }
}
