package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.graft.io.FormatException;
import io.graft.io.PeftAdaptionPromptConfig;
import io.graft.io.PeftDeptConfig;
import io.graft.io.PeftLstConfig;
import io.graft.io.PeftPrefixPropagationConfig;
import io.graft.io.PeftPrefixTuningConfig;
import io.graft.io.PeftPromptEncoderConfig;
import io.graft.io.PeftPromptTuningConfig;
import io.graft.io.PeftPromptTuningConfig.Init;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Generator;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Prompt and prefix tuning beyond PEFT's files: generation, padding, real tokens as virtual ones, starts, refusals. */
class VirtualTokensTest extends InContext {
    private static final String MODEL = "llama_gqa";
    private static final int[] TOKENS = {1, 7, 3, 9, 4, 30, 11};

    private Llama model(DType dtype, Adapter adapter) {
        return Golden.load(scope, MODEL, dtype, Llama.Options.training(adapter));
    }

    private Llama golden(String method) {
        Path folder = Golden.adapter(MODEL, method);
        return model(
                DType.F32,
                switch (method) {
                    case "prompt_tuning" -> PromptTuning.frozen(folder);
                    case "adaption_prompt" -> AdaptionPrompt.frozen(folder);
                    case "propagated" -> PrefixPropagation.create(PeftPrefixPropagationConfig.of("base", 3), 8);
                    case "lst" -> Lst.create(PeftLstConfig.of("base", 2), 8);
                    case "dept" -> Dept.create(PeftDeptConfig.of("base", 3, 5, 2), 8);
                    default -> PrefixTuning.frozen(folder);
                });
    }

    private static PromptTuning prompt(int... tokens) {
        return PromptTuning.create(PeftPromptTuningConfig.of("base", tokens.length, Init.TEXT), tokens);
    }

    private static float[] last(Llama model, int... tokens) {
        float[] logits = model.logits(Batch.of(1, tokens.length, tokens, null));
        int vocabulary = model.config().vocabularySize();
        return Arrays.copyOfRange(logits, logits.length - vocabulary, logits.length);
    }

    private static int likeliest(float[] logits) {
        int best = 0;
        for (int i = 1; i < logits.length; i++) {
            best = logits[i] > logits[best] ? i : best;
        }
        return best;
    }

    @ParameterizedTest
    @ValueSource(strings = {"prompt_tuning", "prefix_tuning", "adaption_prompt", "dept", "propagated", "lst"})
    void generationWithACacheIsThatOfWholePasses(String method) {
        for (int start : new int[] {1, 4}) {
            try (Llama model = golden(method);
                    Generator generator = new Generator(model)) {
                int[] prompt = Arrays.copyOf(TOKENS, start);
                int[] made = generator.greedy(prompt, 6);
                int[] whole = prompt;
                for (int token : made) {
                    assertThat(token).isEqualTo(likeliest(last(model, whole)));
                    whole = Arrays.copyOf(whole, whole.length + 1);
                    whole[whole.length - 1] = token;
                }
                assertThat(generator.greedy(prompt, 6)).isEqualTo(made);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"prompt_tuning", "prefix_tuning", "adaption_prompt", "dept", "propagated", "lst"})
    void paddingChangesNothing(String method) {
        try (Llama model = golden(method)) {
            float alone = model.loss(Batch.of(1, 4, Arrays.copyOf(TOKENS, 4), null));
            int[] labels = {1, 7, 3, 9, -100, -100, -100};
            Batch padded = Batch.of(1, 7, new int[] {1, 7, 3, 9, 0, 0, 0}, new int[] {1, 1, 1, 1, 0, 0, 0}, labels);
            assertThat(model.loss(padded)).isCloseTo(alone, within(1e-6f));
        }
    }

    @Test
    void aPromptOfRealTokensIsTheBaseModelWithThemInFront() {
        float[] expected;
        float loss;
        try (Llama base = model(DType.F32, null)) {
            expected = last(base, TOKENS);
            int[] labels = TOKENS.clone();
            Arrays.fill(labels, 0, 3, Batch.IGNORED);
            loss = base.loss(Batch.of(1, 7, TOKENS, labels));
        }
        try (Llama model = model(DType.F32, prompt(1, 7, 3))) {
            int[] rest = Arrays.copyOfRange(TOKENS, 3, 7);
            assertThat(last(model, rest)).isEqualTo(expected);
            Batch batch = Batch.of(1, 4, rest, null);
            assertThat(model.loss(batch)).isEqualTo(loss);
            assertThat(model.targets(batch)).isEqualTo(4);
            assertThat(model.lossAndGradients(batch)).isEqualTo(loss);
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void checkpointingHasTheSameBits(DType dtype) {
        for (String method : new String[] {"prompt", "prefix", "gated"}) {
            Batch batch = Batch.of(2, 7, new int[14], null);
            System.arraycopy(TOKENS, 0, batch.ids(), 0, 7);
            float[][] gradients = new float[2][];
            for (int i = 0; i < 2; i++) {
                Adapter adapter = switch (method) {
                    case "prompt" -> PromptTuning.create(PeftPromptTuningConfig.of("base", 5, Init.RANDOM), 3);
                    case "gated" -> AdaptionPrompt.create(PeftAdaptionPromptConfig.of("base", 5, 2), 3);
                    default -> PrefixTuning.create(PeftPrefixTuningConfig.of("base", 5), 3);
                };
                Llama.Options options = Llama.Options.training(adapter).withGradientCheckpointing(i == 1);
                try (Llama model = Golden.load(scope, MODEL, dtype, options)) {
                    // The second is a gate, closed at first: rows have no gradient then.
                    int last = method.equals("gated") ? 1 : 0;
                    model.lossAndGradients(batch);
                    assertThat(model.trainable()).hasSize(last == 1 ? 4 : 1);
                    gradients[i] = model.trainable().get(last).gradient().floats();
                    assertThat(gradients[i][0]).isNotZero();
                }
            }
            assertThat(gradients[1]).isEqualTo(gradients[0]);
        }
    }

    /** With closed gates step 0 is the base model; rows move once the gates have. */
    @Test
    void closedGatesAreTheBaseModel(@TempDir Path folder) {
        float[] expected;
        try (Llama base = model(DType.F32, null)) {
            expected = last(base, TOKENS);
        }
        try (Llama model = model(DType.F32, AdaptionPrompt.create(PeftAdaptionPromptConfig.of("base", 3, 1), 3))) {
            assertThat(last(model, TOKENS)).isEqualTo(expected);
            model.lossAndGradients(Batch.of(1, 7, TOKENS, null));
            assertThat(model.trainable().get(0).gradient().floats()).containsOnly(0);
            model.trainable().get(1).value().set(0.5f);
            model.parametersChanged();
            model.lossAndGradients(Batch.of(1, 7, TOKENS, null));
            assertThat(model.trainable().get(0).gradient().floats()).isNotEqualTo(new float[3 * 48]);
            assertThat(last(model, TOKENS)).isNotEqualTo(expected);
            assertThatThrownBy(model::merge).hasMessageContaining("AdaptionPrompt.merge: what it does is in no weight");
        }
        assertThatThrownBy(() -> model(DType.F32, AdaptionPrompt.create(PeftAdaptionPromptConfig.of("base", 3, 3), 3)))
                .hasMessageContaining("'adapter_layers' is 3, but the model has 2");
    }

    @Test
    void startsFollowTheConfiguration() {
        try (Llama model = model(DType.F32, prompt(5, 9, 5))) {
            float[] table = model.embedding().value().floats();
            float[] rows = model.trainable().get(0).value().floats();
            int width = model.config().hiddenSize();
            for (int i = 0; i < width; i++) {
                assertThat(rows[i]).isEqualTo(table[5 * width + i]).isEqualTo(rows[2 * width + i]);
                assertThat(rows[width + i]).isEqualTo(table[9 * width + i]);
            }
        }
        assertThat(start(Init.SAMPLE_VOCAB, 1)).isEqualTo(start(Init.SAMPLE_VOCAB, 1));
        assertThat(start(Init.SAMPLE_VOCAB, 1)).isNotEqualTo(start(Init.SAMPLE_VOCAB, 2));
        assertThat(start(Init.RANDOM, 1)).isNotEqualTo(start(Init.SAMPLE_VOCAB, 1));
        PeftPromptTuningConfig text = PeftPromptTuningConfig.of("base", 3, Init.TEXT);
        assertThatThrownBy(() -> PromptTuning.create(text, 1L)).hasMessageContaining("give its tokens");
        assertThatThrownBy(() -> PromptTuning.create(text)).hasMessageContaining("no tokens");
    }

    private float[] start(Init init, long seed) {
        try (Llama model = model(DType.F32, PromptTuning.create(PeftPromptTuningConfig.of("base", 4, init), seed))) {
            return model.trainable().get(0).value().floats();
        }
    }

    @Test
    void anotherModelsPrefixIsRefused() {
        assertThatThrownBy(() -> Golden.load(
                        scope,
                        "llama_tied",
                        Llama.Options.training(PrefixTuning.load(Golden.adapter(MODEL, "prefix_tuning")))))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("but the model has");
    }

    /** The network's values, gradients and rows against PEFT's; a file of it is a prefix. */
    @Test
    void aProjectedPrefixIsPeftsOwn(@TempDir Path folder) {
        try (SafetensorsFile peft = Golden.tensors(MODEL, "prefix_projection");
                Llama model = model(DType.F32, PrefixTuning.create(PeftPrefixTuningConfig.parse("test", """
                                {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4, "prefix_projection": true,
                                 "encoder_hidden_size": 10}"""), 3))) {
            assertThat(model.trainable()).hasSize(5);
            for (Parameter parameter : model.trainable()) {
                parameter.value().set(Golden.floats(scope, peft, "start." + parameter.name()));
            }
            model.parametersChanged();
            Batch batch = Golden.batch(scope, peft);
            Golden.assertClose("logits", model.logits(batch), Golden.floats(scope, peft, "logits"), 2e-5);
            float loss = Golden.floats(scope, peft, "loss")[0];
            assertThat(model.lossAndGradients(batch)).isCloseTo(loss, within(1e-5f * loss));
            for (Parameter parameter : model.trainable()) {
                float[] expected = Golden.floats(scope, peft, "grad." + parameter.name());
                Golden.assertClose(parameter.name(), parameter.gradient().floats(), expected, 1e-4);
            }
            model.adapter().save(folder);
            try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftAdapter.FILE));
                    Llama loaded = model(DType.F32, PrefixTuning.frozen(folder))) {
                Golden.assertClose(
                        "rows",
                        Golden.floats(scope, file, "prompt_embeddings"),
                        Golden.floats(scope, peft, "saved"),
                        1e-6);
                assertThat(loaded.logits(batch)).isEqualTo(model.logits(batch));
            }
        }
    }

    /** With zeros above the first layer, propagation is prompt tuning; a file gives the same model. */
    @Test
    void propagatedRowsOfTheFirstLayerAreAPrompt(@TempDir Path folder) {
        int width = 48;
        try (Llama model = model(DType.F32, PrefixPropagation.create(PeftPrefixPropagationConfig.of("base", 3), 8));
                Llama prompted =
                        model(DType.F32, PromptTuning.create(PeftPromptTuningConfig.of("base", 3, Init.RANDOM), 8))) {
            Tensor rows = model.trainable().get(0).value();
            assertThat(rows.shape()).containsExactly(3, 2 * width);
            float[] own = last(model, TOKENS);
            model.adapter().save(folder);
            try (Llama again = model(DType.F32, PrefixPropagation.frozen(folder))) {
                assertThat(last(again, TOKENS)).isEqualTo(own);
            }
            float[] first = rows.columns(0, width).floats();
            rows.columns(width, 2 * width).set(new float[3 * width]);
            prompted.trainable().get(0).value().set(first);
            assertThat(last(model, TOKENS)).isEqualTo(last(prompted, TOKENS)).isNotEqualTo(own);
        }
    }

    /** DePT: a token behind the prompt is embedded as its row of the table and of A B; places behind the last have none. */
    @Test
    void embeddingsAreUpdatedByPlace(@TempDir Path folder) {
        float[] expected;
        int width = 48;
        try (Llama base = model(DType.F32, null)) {
            // The same rows, all of them a prompt.
            float[] table = base.embedding().value().floats();
            float[] rows = new float[7 * width];
            for (int i = 0; i < 7; i++) {
                for (int j = 0; j < width; j++) {
                    rows[i * width + j] =
                            table[TOKENS[i] * width + j] + (i >= 2 && i < 5 ? (i - 1) * 0.01f * (j + 1) : 0);
                }
            }
            try (Llama whole =
                    model(DType.F32, PromptTuning.create(PeftPromptTuningConfig.of("base", 7, Init.RANDOM), 1))) {
                whole.trainable().get(0).value().set(rows);
                float[] logits = whole.logits(Batch.of(1, 1, new int[] {0}, null));
                int vocabulary = whole.config().vocabularySize();
                expected = Arrays.copyOfRange(logits, 6 * vocabulary, 7 * vocabulary);
            }
            try (Llama model = model(DType.F32, Dept.create(PeftDeptConfig.of("base", 2, 3, 1), 1))) {
                model.trainable().get(0).value().set(Arrays.copyOf(rows, 2 * width));
                model.trainable().get(1).value().set(1, 2, 3);
                float[] b = new float[width];
                for (int j = 0; j < width; j++) {
                    b[j] = 0.01f * (j + 1);
                }
                model.trainable().get(2).value().set(b);
                model.parametersChanged();
                assertThat(last(model, Arrays.copyOfRange(TOKENS, 2, 7))).containsExactly(expected, within(1e-4f));
                model.adapter().save(folder);
                try (Llama again = model(DType.F32, Dept.frozen(folder))) {
                    assertThat(last(again, TOKENS)).isEqualTo(last(model, TOKENS));
                }
            }
        }
    }

    @Test
    void whatAnEncoderMadeIsAPrompt(@TempDir Path folder) {
        float loss;
        try (Llama model = model(DType.F32, PTuning.create(PeftPromptEncoderConfig.of("base", 3, 10), 4))) {
            Batch batch = Batch.of(1, 7, TOKENS, null);
            float start = model.lossAndGradients(batch);
            assertThat(model.trainable()).hasSize(7);
            for (Parameter parameter : model.trainable()) {
                float[] values = parameter.value().floats();
                float[] gradient = parameter.gradient().floats();
                for (int i = 0; i < values.length; i++) {
                    values[i] -= 0.1f * gradient[i];
                }
                parameter.value().set(values);
            }
            model.parametersChanged();
            loss = model.loss(batch);
            assertThat(loss).isLessThan(start);
            model.adapter().save(folder);
        }
        try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftAdapter.FILE));
                Llama model = model(DType.F32, PTuning.frozen(folder))) {
            assertThat(file.names()).containsExactly("prompt_embeddings");
            assertThat(model.trainable()).isEmpty();
            assertThat(model.loss(Batch.of(1, 7, TOKENS, null))).isEqualTo(loss);
        }
    }

    @Test
    void mergingIsRefused() {
        try (Llama model = golden("prefix_tuning")) {
            float[] before = last(model, TOKENS);
            assertThatThrownBy(model::merge)
                    .isInstanceOf(UnsupportedOperationException.class)
                    .hasMessageContaining("PrefixTuning.merge: what it does is in no weight");
            assertThat(last(model, TOKENS)).isEqualTo(before);
        }
    }
}
