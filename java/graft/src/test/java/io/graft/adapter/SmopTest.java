package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.PeftPromptTuningConfig;
import io.graft.io.PeftSmopConfig;
import io.graft.io.RouterSettings;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Generator;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A mixture of prompts on a whole model; that its gradients are right is shown by MixtureGradientTest. */
class SmopTest extends InContext {
    private static final int[] IDS = {1, 7, 3, 9, 4, 30, 11};
    private static final int[] ANSWER = {-100, -100, -100, 9, 4, 30, 11};

    private Llama model(DType dtype, Adapter adapter) {
        return Golden.load(scope, "llama_gqa", dtype, Llama.Options.training(adapter));
    }

    private static Smop fresh(int experts, int topK) {
        return Smop.create(PeftSmopConfig.of("", 2, new RouterSettings(experts, topK, 0.1)), 3);
    }

    /** Router rows of one embedding each, so that what the router reads decides. */
    private static void point(Llama model, int... tokens) {
        Parameter router = model.trainable().get(1);
        int width = (int) router.value().size(1);
        float[] table = model.embedding().value().floats();
        float[] rows = new float[tokens.length * width];
        for (int e = 0; e < tokens.length; e++) {
            for (int i = 0; i < width; i++) {
                rows[e * width + i] = 1e5f * table[tokens[e] * width + i];
            }
        }
        router.master().set(rows);
        router.refreshValue();
    }

    private Llama plain(Llama mixture, int expert) {
        Llama model = model(
                DType.F32,
                PromptTuning.create(PeftPromptTuningConfig.of("", 2, PeftPromptTuningConfig.Init.RANDOM), 1));
        Parameter rows = model.trainable().get(0);
        float[] all = mixture.trainable().get(0).value().floats();
        int count = (int) rows.value().elements();
        rows.value().set(Arrays.copyOfRange(all, expert * count, (expert + 1) * count));
        return model;
    }

    /** With certain gates a sequence has the prompt of its own expert, whatever its neighbour has. */
    @Test
    void eachSequenceGetsThePromptThatTheRouterChooses() {
        try (Llama model = model(DType.F32, fresh(2, 1))) {
            point(model, 1, 9);
            float[] both = model.logits(Batch.of(2, 3, new int[] {1, 7, 3, 9, 4, 30}, null));
            for (int expert = 0; expert < 2; expert++) {
                int[] ids = expert == 0 ? new int[] {1, 7, 3} : new int[] {9, 4, 30};
                try (Llama alone = plain(model, expert)) {
                    float[] one = alone.logits(Batch.of(1, 3, ids, null));
                    float[] part = Arrays.copyOfRange(both, expert * one.length, (expert + 1) * one.length);
                    Golden.assertClose("row " + expert, part, one, 1e-5);
                }
            }
        }
    }

    @Test
    void theRouterReadsWhatStandsBeforeTheAnswer() {
        try (Llama model = model(DType.F32, fresh(3, 1))) {
            float loss = model.loss(Batch.of(1, 7, IDS, ANSWER));
            float[] logits = model.logits(Batch.of(1, 7, IDS, ANSWER));
            int[] other = {1, 7, 3, 9, 4, 30, 12};
            int before = 2 + 6;
            int vocabulary = model.config().vocabularySize();
            float[] changed = model.logits(Batch.of(1, 7, other, ANSWER));
            assertThat(Arrays.copyOf(changed, before * vocabulary))
                    .isEqualTo(Arrays.copyOf(logits, before * vocabulary));
            point(model, 5, 6, 7);
            assertThat(model.loss(Batch.of(1, 7, IDS, ANSWER))).isNotEqualTo(loss);
        }
    }

    @Test
    void generationIsThatOfWholePasses() {
        try (Llama model = model(DType.F32, fresh(3, 1));
                Generator generator = new Generator(model)) {
            int[] made = generator.greedy(new int[] {1, 7, 3}, 3);
            int[] ids = {1, 7, 3, made[0], made[1]};
            float[] logits = model.logits(Batch.of(1, 5, ids, new int[] {-100, -100, -100, made[0], made[1]}));
            int vocabulary = model.config().vocabularySize();
            int last = (2 + 4) * vocabulary;
            for (int i = 0; i < vocabulary; i++) {
                assertThat(logits[last + i]).isLessThanOrEqualTo(logits[last + made[2]]);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void inferenceIsTrainingAndFilesComeBack(DType dtype, @TempDir Path folder) {
        Batch batch = Batch.of(1, 7, IDS, ANSWER);
        float loss;
        try (Llama model = model(dtype, fresh(3, 1))) {
            loss = model.lossAndGradients(batch);
            assertThat(model.adapter().regularise()).isPositive();
            assertThat(model.loss(batch)).isEqualTo(loss);
            assertThat(model.trainable()).hasSize(2);
            model.adapter().save(folder);
            try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftAdapter.FILE))) {
                long width = model.config().hiddenSize();
                assertThat(file.shape("prompt_embeddings")).containsExactly(3, 2 * width);
                assertThat(file.shape("prompt_router.weight")).containsExactly(3, width);
            }
        }
        try (Llama model = model(dtype, Smop.frozen(folder))) {
            assertThat(model.loss(batch)).isEqualTo(loss);
            assertThatThrownBy(model::merge).isInstanceOf(UnsupportedOperationException.class);
        }
    }
}
