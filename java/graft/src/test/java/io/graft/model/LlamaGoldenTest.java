package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.adapter.Full;
import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.io.SafetensorsFile;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import java.nio.file.Path;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Logits, loss, gradients of all parameters and generated ids against transformers. */
class LlamaGoldenTest {
    private static final double LOGITS = 2e-5;
    private static final double GRADIENTS = 1e-4;

    @ParameterizedTest
    @MethodSource("io.graft.io.Fixtures#models")
    void logitsAndLossEqualTransformers(String name) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile expected = Golden.tensors(name, "base");
                Llama model = Golden.load(scope, name, Llama.Options.inference())) {
            Batch batch = Golden.batch(scope, expected);
            Golden.assertClose("logits", model.logits(batch), Golden.floats(scope, expected, "logits"), LOGITS);
            float loss = Golden.floats(scope, expected, "loss")[0];
            assertThat(model.loss(batch)).isCloseTo(loss, Offset.offset(1e-5f * loss));
        }
    }

    @ParameterizedTest
    @MethodSource("io.graft.io.Fixtures#models")
    void gradientsOfAllParametersEqualTransformers(String name) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile expected = Golden.tensors(name, "base");
                Llama model = Golden.load(scope, name, Llama.Options.training(new Full()))) {
            float loss = model.lossAndGradients(Golden.batch(scope, expected));
            float expectedLoss = Golden.floats(scope, expected, "loss")[0];
            assertThat(loss).isCloseTo(expectedLoss, Offset.offset(1e-5f * expectedLoss));
            assertThat(expected.names().stream().filter(key -> key.startsWith("grad.")))
                    .hasSize(model.trainable().size());
            for (Parameter parameter : model.trainable()) {
                Golden.assertClose(
                        parameter.name(),
                        parameter.gradient().floats(),
                        Golden.floats(scope, expected, "grad." + parameter.name()),
                        GRADIENTS);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama_rope3", "mistral"})
    void bothFormsOfTheConfigurationGiveTheSameModel(String name) {
        Path directory = Golden.model(name);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                SafetensorsFile expected = Golden.tensors(name, "base");
                Checkpoint checkpoint = Checkpoint.open(directory);
                Llama newer = Golden.load(scope, name, Llama.Options.inference());
                Llama older = Llama.load(
                        scope,
                        checkpoint,
                        LlamaConfig.read(directory.resolve("config_v4.json")),
                        DType.F32,
                        Llama.Options.inference())) {
            Batch batch = Golden.batch(scope, expected);
            assertThat(older.logits(batch)).isEqualTo(newer.logits(batch));
        }
    }

    @ParameterizedTest
    @MethodSource("io.graft.io.Fixtures#models")
    void greedyGenerationEqualsTransformers(String name) {
        JsonNode expected = Golden.json(name, "greedy");
        int[] prompt = ints(expected.get("prompt"));
        int[] generated = ints(expected.get("generated"));
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, name, Llama.Options.inference());
                Generator generator = new Generator(model)) {
            assertThat(generator.greedy(prompt, generated.length)).isEqualTo(generated);
            assertThat(generator.greedy(prompt, generated.length)).isEqualTo(generated);
        }
    }

    @Test
    void theTraceEndsInTheLogits() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile expected = Golden.tensors("llama_gqa", "base");
                Llama model = Golden.load(scope, "llama_gqa", Llama.Options.inference())) {
            Batch batch = Golden.batch(scope, expected);
            float[] logits = model.logits(batch);
            StringBuilder stages = new StringBuilder();
            model.trace(batch, (stage, tensor) -> {
                stages.append(stage).append(' ');
                if (stage.equals("lm_head")) {
                    assertThat(tensor.floats()).isEqualTo(logits);
                }
            });
            assertThat(stages.toString().trim())
                    .isEqualTo("model.embed_tokens model.layers.0 model.layers.1 model.norm lm_head");
        }
    }

    @ParameterizedTest
    @MethodSource("io.graft.io.Fixtures#models")
    void aSavedModelIsTheSameModel(String name, @TempDir Path directory) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile expected = Golden.tensors(name, "base");
                Llama model = Golden.load(scope, name, Llama.Options.inference())) {
            model.save(directory);
            try (Checkpoint checkpoint = Checkpoint.open(directory);
                    Llama again = Llama.load(
                            scope, checkpoint, LlamaConfig.read(directory), DType.F32, Llama.Options.inference())) {
                Batch batch = Golden.batch(scope, expected);
                assertThat(again.logits(batch)).isEqualTo(model.logits(batch));
            }
        }
    }

    @Test
    void bfloat16StaysNearFloat32() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile expected = Golden.tensors("llama_gqa", "base");
                Llama model = Golden.load(scope, "llama_gqa", DType.BF16, Llama.Options.inference())) {
            float[] logits = Golden.floats(scope, expected, "logits");
            Golden.assertClose("logits", model.logits(Golden.batch(scope, expected)), logits, 5e-2);
        }
    }

    private static int[] ints(JsonNode array) {
        int[] values = new int[array.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = array.get(i).asInt();
        }
        return values;
    }
}
