package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.PromptTuning;
import io.graft.io.PeftPromptTuningConfig;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** XPrompt: what is pruned is what matters least, it stays zero, and interruptions change nothing. */
class PromptPruningTest {
    private static final int TOKENS = 6;
    private static final int WIDTH = 40;

    private static PromptTuning prompt() {
        return PromptTuning.create(PeftPromptTuningConfig.of("base", TOKENS, PeftPromptTuningConfig.Init.RANDOM), 3)
                .withPruning(new PromptTuning.Pruning(8, 0.5, 0.25));
    }

    private static Trainer trainer(Llama model, long steps) {
        return new Trainer(model, Trainer.Options.of(steps, 5e-2), TrainerTest.source(2));
    }

    /** Tokens and pieces in order of |Σ g e| of the fourth step, which is the last of the first half. */
    @Test
    void whatMattersLeastBecomesZero() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_tied", Llama.Options.training(prompt()));
                Trainer trainer = trainer(model, 8)) {
            float[] before = {};
            float[] gradient = {};
            for (int i = 0; i < 4; i++) {
                before = model.trainable().get(0).value().floats();
                trainer.step();
                gradient = model.trainable().get(0).gradient().floats();
            }
            double[] tokens = new double[TOKENS];
            double[] pieces = new double[TOKENS * 16];
            for (int i = 0; i < TOKENS; i++) {
                for (int j = 0; j < WIDTH; j++) {
                    double part = (double) before[i * WIDTH + j] * gradient[i * WIDTH + j];
                    tokens[i] += part;
                    for (int piece = 0; piece < 16; piece++) {
                        pieces[i * 16 + piece] += j >= piece * WIDTH / 16 && j < (piece + 1) * WIDTH / 16 ? part : 0;
                    }
                }
            }
            List<Integer> order = new ArrayList<>(List.of(0, 1, 2, 3, 4, 5));
            order.sort(Comparator.comparingDouble(i -> -Math.abs(tokens[i])));
            List<Integer> left = new ArrayList<>();
            order.subList(0, 3).forEach(token -> {
                for (int piece = 0; piece < 16; piece++) {
                    left.add(token * 16 + piece);
                }
            });
            left.sort(Comparator.comparingDouble(i -> -Math.abs(pieces[i])));
            boolean[] kept = new boolean[TOKENS * WIDTH];
            for (int piece : left.subList(0, 12)) {
                int row = piece / 16 * WIDTH;
                Arrays.fill(kept, row + piece % 16 * WIDTH / 16, row + (piece % 16 + 1) * WIDTH / 16, true);
            }
            float[] pruned = model.trainable().get(0).value().floats();
            trainer.run();
            float[] after = model.trainable().get(0).value().floats();
            float[] last = model.trainable().get(0).gradient().floats();
            for (int i = 0; i < kept.length; i++) {
                assertThat(pruned[i] != 0).as("%d", i).isEqualTo(kept[i]);
                assertThat(after[i] != 0).as("%d", i).isEqualTo(kept[i]);
                assertThat(last[i] != 0).as("%d", i).isEqualTo(kept[i]);
                assertThat(!kept[i] || after[i] != pruned[i]).isTrue();
            }
        }
    }

    @Test
    void anInterruptedRunIsTheWholeOne(@TempDir Path folder) {
        for (int stop : new int[] {2, 4, 6}) {
            Path file = folder.resolve(stop + ".safetensors");
            try (Context context = Context.cpu(1);
                    Scope scope = context.scope();
                    Llama whole = Golden.load(scope, "llama_tied", Llama.Options.training(prompt()));
                    Trainer uninterrupted = trainer(whole, 8);
                    Llama first = Golden.load(scope, "llama_tied", Llama.Options.training(prompt()));
                    Trainer begun = trainer(first, stop);
                    Llama second = Golden.load(scope, "llama_tied", Llama.Options.training(prompt()));
                    Trainer resumed = trainer(second, 8)) {
                uninterrupted.run();
                begun.run();
                begun.save(file);
                resumed.resume(file);
                resumed.run();
                assertThat(second.trainable().get(0).value().floats())
                        .isEqualTo(whole.trainable().get(0).value().floats());
            }
        }
    }

    @Test
    void sharesOfNothingAreRefused() {
        assertThatThrownBy(() -> new PromptTuning.Pruning(8, 0, 1)).hasMessageContaining("shares 0.0 and 1.0");
        assertThatThrownBy(() -> new PromptTuning.Pruning(8, 1, 1.5)).hasMessageContaining("shares 1.0 and 1.5");
    }
}
