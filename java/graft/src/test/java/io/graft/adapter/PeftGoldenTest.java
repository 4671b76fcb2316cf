package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.io.PeftAdaLoraConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.train.AdamW;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Adapters against PEFT: logits, loss, gradients, AdamW steps, merged weights, and files. */
class PeftGoldenTest {
    private static final double LOGITS = 2e-5;
    private static final double GRADIENTS = 1e-4;

    static Stream<Arguments> cases() {
        return Stream.of(
                Arguments.of("llama_gqa", "lora"),
                Arguments.of("llama_gqa", "lora_rs"),
                Arguments.of("llama_gqa", "lora_layers"),
                Arguments.of("llama_gqa", "lora_pattern"),
                Arguments.of("llama_gqa", "lora_modules_to_save"),
                Arguments.of("llama_gqa", "dora"),
                Arguments.of("llama_gqa", "shira"),
                Arguments.of("llama_gqa", "vera"),
                Arguments.of("llama_gqa", "miss"),
                Arguments.of("llama_gqa", "loha"),
                Arguments.of("llama_gqa", "lokr"),
                Arguments.of("llama_gqa", "lokr_both"),
                Arguments.of("llama_gqa", "oft"),
                Arguments.of("llama_gqa", "oft_exact"),
                Arguments.of("llama_gqa", "boft"),
                Arguments.of("llama_gqa", "boft_blocks"),
                Arguments.of("llama_gqa", "c3a"),
                Arguments.of("llama_gqa", "fourierft"),
                Arguments.of("llama_gqa", "qalora"),
                Arguments.of("llama_gqa", "hira"),
                Arguments.of("llama_gqa", "glora"),
                Arguments.of("llama_gqa", "glora_vector"),
                Arguments.of("llama_gqa", "adalora"),
                Arguments.of("llama_gqa", "paca"),
                Arguments.of("llama_gqa", "ln_tuning"),
                Arguments.of("llama_gqa", "prompt_tuning"),
                Arguments.of("llama_rope3", "prompt_tuning"),
                Arguments.of("llama_tied", "prompt_tuning"),
                Arguments.of("llama_gqa", "prefix_tuning"),
                Arguments.of("llama_gqa", "adaption_prompt"),
                Arguments.of("llama_rope3", "adaption_prompt"),
                Arguments.of("llama_gqa", "ia3"),
                Arguments.of("llama_rope3", "ia3"),
                Arguments.of("llama_tied", "ia3"),
                Arguments.of("mistral", "lora"),
                Arguments.of("mistral", "ia3"),
                Arguments.of("mistral", "prompt_tuning"),
                Arguments.of("qwen2", "lora"),
                Arguments.of("qwen2", "ia3"),
                Arguments.of("qwen2", "prompt_tuning"),
                Arguments.of("qwen3", "lora"),
                Arguments.of("qwen3", "ia3"),
                Arguments.of("qwen3", "prompt_tuning"),
                Arguments.of("starcoder2", "lora"),
                Arguments.of("starcoder2", "lora_bias_all"),
                Arguments.of("starcoder2", "lora_bias_only"),
                Arguments.of("qwen2", "lora_bias_all"),
                Arguments.of("starcoder2", "ia3"),
                Arguments.of("starcoder2", "prompt_tuning"),
                Arguments.of("gpt_bigcode", "lora"),
                Arguments.of("gpt_bigcode", "ia3"),
                Arguments.of("gpt_bigcode", "prompt_tuning"),
                Arguments.of("codegen", "lora"),
                Arguments.of("gemma3_multimodal", "lora"),
                Arguments.of("codegen", "ia3"),
                Arguments.of("codegen", "prompt_tuning"),
                Arguments.of("llama_rope3", "lora"),
                Arguments.of("llama_tied", "lora"));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void lossAndGradientsEqualPeft(String name, String method) {
        try (Context context = Context.cpu(2)) {
            lossAndGradients(context, name, method);
        }
    }

    static void lossAndGradients(Context context, String name, String method) {
        try (Scope scope = context.scope();
                SafetensorsFile expected = Golden.tensors(name, method);
                Llama model = load(scope, name, method)) {
            Batch batch = Golden.batch(scope, expected);
            Golden.assertClose("logits", model.logits(batch), Golden.floats(scope, expected, "logits"), LOGITS);
            float loss = Golden.floats(scope, expected, "loss")[0];
            assertThat(model.lossAndGradients(batch) + (float) model.adapter().regularise())
                    .isCloseTo(loss, Offset.offset(1e-5f * loss));
            assertThat(expected.names().stream().filter(key -> key.startsWith("grad.")))
                    .hasSize(model.trainable().size());
            for (Parameter parameter : model.trainable()) {
                String key = model.adapter().key(parameter);
                float[] gradient = asHeld(parameter, Golden.floats(scope, expected, "grad." + key));
                Golden.assertClose(key, parameter.gradient().floats(), gradient, GRADIENTS);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void fiveStepsEqualPeft(String name, String method) {
        JsonNode steps = Golden.json(name, method + ".steps");
        double rate = steps.get("lr").asDouble();
        AdamW.Settings settings = new AdamW.Settings(
                0.9,
                0.999,
                steps.get("eps").asDouble(),
                steps.get("weight_decay").asDouble(),
                steps.get("clip_norm").asDouble());
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile inputs = Golden.tensors(name, method);
                SafetensorsFile after = Golden.tensors(name, method + ".after_steps");
                Llama model = load(scope, name, method);
                AdamW optimiser = new AdamW(scope, model.trainable(), settings)) {
            Batch batch = Golden.batch(scope, inputs);
            int count = steps.get("steps").asInt();
            for (int i = 0; i < count; i++) {
                model.zeroGradients();
                close(
                        "loss " + i,
                        model.lossAndGradients(batch) + model.adapter().regularise(),
                        steps.get("loss").get(i),
                        1e-5);
                close(
                        "norm " + i,
                        optimiser.step(rate),
                        steps.get("gradient_norm_before_clip").get(i),
                        1e-4);
                model.parametersChanged();
            }
            close("loss after", model.loss(batch) + model.adapter().regularise(), steps.get("loss_after"), 1e-5);
            double stability = steps.get("stability").get("after_steps").asDouble();
            for (Parameter parameter : model.trainable()) {
                String key = model.adapter().key(parameter);
                float[] expected = asHeld(parameter, Golden.floats(scope, after, key));
                assertMoved(parameter, expected, Math.max(2e-5, 10 * stability), 2 * rate * count);
            }
        }
    }

    /** MiSS, and LoKr with two low-rank factors, hold the transpose of what their files have. */
    private static float[] asHeld(Parameter parameter, float[] values) {
        if (!parameter.name().endsWith("miss_block") && !parameter.name().endsWith("lokr_w1_b")) {
            return values;
        }
        int rows = (int) parameter.value().size(0);
        int columns = (int) parameter.value().size(1);
        float[] turned = new float[values.length];
        for (int i = 0; i < values.length; i++) {
            turned[i] = values[i % columns * rows + i / columns];
        }
        return turned;
    }

    private static void close(String what, double actual, JsonNode expected, double relative) {
        assertThat(actual).as(what).isCloseTo(expected.asDouble(), Offset.offset(relative * expected.asDouble()));
    }

    /** AdamW moves a parameter whose gradient is nearly 0 by ±rate: a thousandth of the elements may differ so far. */
    private static void assertMoved(Parameter parameter, float[] expected, double tolerance, double furthest) {
        float[] actual = parameter.master().floats();
        int outside = 0;
        for (int i = 0; i < expected.length; i++) {
            double difference = Math.abs(actual[i] - expected[i]);
            assertThat(difference).as(parameter.name()).isLessThanOrEqualTo(furthest);
            outside += difference > tolerance ? 1 : 0;
        }
        assertThat(outside).as(parameter.name()).isLessThanOrEqualTo((expected.length + 999) / 1000);
    }

    static Stream<Arguments> merging() {
        return cases().filter(test ->
                !List.of("prompt_tuning", "prefix_tuning", "adaption_prompt").contains((String) test.get()[1]));
    }

    @ParameterizedTest
    @MethodSource("merging")
    void mergedWeightsEqualPeft(String name, String method) {
        try (Context context = Context.cpu(2)) {
            mergedWeights(context, name, method);
        }
    }

    static void mergedWeights(Context context, String name, String method) {
        try (Scope scope = context.scope();
                SafetensorsFile inputs = Golden.tensors(name, method);
                SafetensorsFile merged = Golden.tensors(name, method + ".merged");
                Llama model = load(scope, name, method)) {
            Batch batch = Golden.batch(scope, inputs);
            model.merge();
            for (String key : merged.names()) {
                float[] actual = model.parameter(key).value().floats();
                float[] expected = Golden.floats(scope, merged, key);
                for (int i = 0; i < expected.length; i++) {
                    assertThat(actual[i]).as(key).isCloseTo(expected[i], Offset.offset(1e-6f));
                }
            }
            Golden.assertClose("logits", model.logits(batch), Golden.floats(scope, inputs, "logits"), LOGITS);
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void aSavedAdapterIsTheSameAdapter(String name, String method, @TempDir Path directory) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile inputs = Golden.tensors(name, method);
                Llama model = load(scope, name, method)) {
            model.adapter().save(directory);
            try (SafetensorsFile written = SafetensorsFile.open(directory.resolve(PeftAdapter.FILE));
                    SafetensorsFile original =
                            SafetensorsFile.open(Golden.adapter(name, method).resolve(PeftAdapter.FILE));
                    Llama again = Golden.load(scope, name, Llama.Options.training(adapter(directory, false)))) {
                List<String> used = original.names().stream()
                        .filter(key -> model.unused().stream().noneMatch(part -> key.contains("." + part + ".")))
                        .toList();
                assertThat(written.names()).containsExactlyInAnyOrderElementsOf(used);
                assertThat(written.metadata()).isEqualTo(original.metadata());
                for (String key : used) {
                    assertThat(written.dtype(key)).isEqualTo(original.dtype(key));
                    assertThat(values(scope, written, key)).isEqualTo(values(scope, original, key));
                }
                Batch batch = Golden.batch(scope, inputs);
                assertThat(again.logits(batch)).isEqualTo(model.logits(batch));
                assertThat(again.trainable()).isEmpty();
            }
        }
    }

    private static Object values(Scope scope, SafetensorsFile file, String key) {
        if (file.dtype(key).isFloat()) {
            return Golden.floats(scope, file, key);
        }
        Tensor tensor = scope.tensor(Memory.ADAPTER, DType.I64, file.shape(key));
        file.read(key, tensor);
        return tensor.longs();
    }

    /** The budget of each step, and the singular values after it. */
    @Test
    void ranksAreGivenUpAsInPeft(@TempDir Path directory) {
        JsonNode steps = Golden.json("llama_gqa", "adalora_allocation.steps");
        AdamW.Settings settings = new AdamW.Settings(
                0.9,
                0.999,
                steps.get("eps").asDouble(),
                steps.get("weight_decay").asDouble(),
                steps.get("clip_norm").asDouble());
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile inputs = Golden.tensors("llama_gqa", "adalora_allocation");
                Llama model = load(scope, "llama_gqa", "adalora_allocation");
                AdamW optimiser = new AdamW(scope, model.trainable(), settings)) {
            Batch batch = Golden.batch(scope, inputs);
            for (JsonNode allocation : steps.get("allocation")) {
                model.zeroGradients();
                model.lossAndGradients(batch);
                model.adapter().regularise();
                double rate = steps.get("lr").asDouble();
                optimiser.step(rate);
                model.adapter().stepped(new OptimiserStep(optimiser.steps(), rate, optimiser::moments));
                model.parametersChanged();
                JsonNode values = allocation.get("lora_E");
                for (Parameter parameter : model.trainable()) {
                    JsonNode expected = values.get(parameter.name());
                    float[] actual = parameter.value().floats();
                    for (int i = 0; expected != null && i < actual.length; i++) {
                        String what = parameter.name() + " " + i + " after step " + allocation.get("step");
                        assertThat(actual[i] == 0)
                                .as(what)
                                .isEqualTo(expected.get(i).asDouble() == 0);
                        assertThat(actual[i])
                                .as(what)
                                .isCloseTo((float) expected.get(i).asDouble(), Offset.offset(2e-5f));
                    }
                }
            }
            float[] logits = model.logits(batch);
            model.adapter().save(directory);
            assertThat(PeftAdaLoraConfig.read(directory).complete()).isFalse();
            try (Llama again = Golden.load(scope, "llama_gqa", Llama.Options.training(AdaLora.load(directory)))) {
                assertThat(again.trainable().stream()
                                .filter(p -> p.name().endsWith("lora_E"))
                                .mapToLong(p -> p.value().elements())
                                .sum())
                        .isEqualTo(3 * 8);
                Golden.assertClose("logits", again.logits(batch), logits, LOGITS);
            }
        }
    }

    /** PEFT's principal start of this adapter, and ours, leave the same base. */
    @Test
    void thePrincipalStartLeavesPeftsBase() {
        PeftLoraConfig config = PeftLoraConfig.read(Golden.adapter("llama_gqa", "pissa_as_lora"));
        PeftLoraConfig fresh = PeftLoraConfig.builder()
                .rank(config.rank() / 2)
                .alpha(config.alpha() / 2)
                .targets("q_proj", "v_proj", "down_proj")
                .build();
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile expected = Golden.tensors("llama_gqa", "pissa");
                Llama model = Golden.load(
                        scope,
                        "llama_gqa",
                        Llama.Options.training(Lora.create(fresh, 1).startingFrom(LoraStart.PRINCIPAL)))) {
            int compared = 0;
            for (String key : expected.names()) {
                if (key.startsWith("residual.")) {
                    float[] residual = model.parameter(key.substring("residual.".length()))
                            .value()
                            .floats();
                    Golden.assertClose(key, residual, Golden.floats(scope, expected, key), 1e-5);
                    compared++;
                }
            }
            assertThat(compared).isPositive();
            try (Llama converted = load(scope, "llama_gqa", "pissa_as_lora")) {
                float[] logits = converted.logits(Golden.batch(scope, expected));
                Golden.assertClose("logits", logits, Golden.floats(scope, expected, "logits"), LOGITS);
            }
        }
    }

    /** The same trained columns as a delta, as the authors' absolute columns in another order, and as LoRA. */
    @ParameterizedTest
    @ValueSource(strings = {"paca", "paca_official", "paca_as_lora"})
    void allFormsOfPacaAreOneModel(String form) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                SafetensorsFile expected = Golden.tensors("llama_gqa", "paca");
                Llama model = load(scope, "llama_gqa", form)) {
            Batch batch = Golden.batch(scope, expected);
            Golden.assertClose("logits", model.logits(batch), Golden.floats(scope, expected, "logits"), LOGITS);
        }
    }

    @Test
    void aTargetThatIsNoProjectionIsRefusedByName() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            assertThatThrownBy(() -> load(scope, "llama_gqa", "lora_embedding"))
                    .hasMessageContaining("model.embed_tokens");
        }
    }

    @Test
    void anAdapterOfAnotherModelIsRefused() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Lora adapter = Lora.load(Golden.adapter("llama_tied", "lora"));
            assertThatThrownBy(() -> Golden.load(scope, "llama_gqa", Llama.Options.training(adapter)))
                    .hasMessageContaining("lora_A.weight");
        }
    }

    private static Llama load(Scope scope, String name, String method) {
        return Golden.load(scope, name, Llama.Options.training(adapter(Golden.adapter(name, method), true)));
    }

    private static Adapter adapter(Path directory, boolean train) {
        return train ? AdapterFolder.load(directory) : AdapterFolder.frozen(directory);
    }
}
