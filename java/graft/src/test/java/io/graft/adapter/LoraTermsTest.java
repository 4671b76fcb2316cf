package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.PeftLoraConfig;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.train.Trainer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** LoRA whose terms have factors: DyLoRA's random ranks and SoRA's gates. */
class LoraTermsTest extends InContext {
    private static final int RANK = 6;

    private static PeftLoraConfig config() {
        return PeftLoraConfig.builder()
                .rank(RANK)
                .alpha(9)
                .rankPattern(Map.of("o_proj", 3))
                .alphaPattern(Map.of("o_proj", 6.0))
                .targets("q_proj", "o_proj", "up_proj", "down_proj")
                .build();
    }

    private Llama model(DType dtype, Adapter adapter) {
        return PacaModels.model(scope, dtype, adapter);
    }

    private static Adapter adapter(String method) {
        return method.equals("dylora") ? DyLora.create(config(), 5) : Sora.create(config(), 40, 5);
    }

    /** The numbers of a parameter by the end of its name. */
    private static float[] values(Llama model, String end) {
        return parameter(model, end).master().floats();
    }

    private static Parameter parameter(Llama model, String end) {
        return model.trainable().stream()
                .filter(p -> p.name().endsWith(end))
                .findFirst()
                .orElseThrow();
    }

    @ParameterizedTest
    @ValueSource(strings = {"dylora", "sora"})
    void stepZeroIsTheBase(String method) {
        try (Llama adapted = model(DType.F32, adapter(method));
                Llama base = model(DType.F32, null)) {
            assertThat(adapted.logits(PacaModels.batch(2))).isEqualTo(base.logits(PacaModels.batch(2)));
        }
    }

    /** In each step as many terms have gradients as the rank says, and those are LoRA's of that rank. */
    @Test
    void aStepSeesTheFirstTermsOnly(@TempDir Path folder) {
        DyLora dylora = DyLora.create(config(), 5);
        TreeSet<Integer> ranks = new TreeSet<>();
        try (Llama model = model(DType.F32, dylora);
                Trainer trainer = PacaModels.trainer(model, 40)) {
            Batch batch = new Batch();
            for (int step = 0; step < 12; step++) {
                int rank = dylora.rank();
                ranks.add(rank);
                dylora.saveRank(rank, folder.resolve("rank"));
                float whole = model.loss(PacaModels.batch(2));
                Lora cut = Lora.load(folder.resolve("rank"));
                try (Llama same = model(DType.F32, cut)) {
                    assertThat(cut.config().rank("model.layers.0.self_attn.o_proj"))
                            .isEqualTo(Math.min(rank, 3));
                    assertThat(cut.config().scale("model.layers.0.self_attn.q_proj"))
                            .isEqualTo(9.0 / rank);
                    PacaModels.source(2).next(batch);
                    float loss = same.lossAndGradients(batch);
                    model.zeroGradients();
                    assertThat(model.lossAndGradients(batch)).isEqualTo(loss, Offset.offset(1e-5f));
                    for (int i = 0; i < same.trainable().size(); i++) {
                        assertGradient(
                                model.trainable().get(i), same.trainable().get(i));
                    }
                }
                assertThat(model.loss(PacaModels.batch(2)))
                        .as("evaluation has all terms")
                        .isEqualTo(whole);
                trainer.step();
            }
        }
        assertThat(ranks).hasSizeGreaterThan(3).allMatch(rank -> rank >= 1 && rank <= RANK);
    }

    private static void assertGradient(Parameter whole, Parameter cut) {
        Tensor all = whole.gradient();
        Tensor some = cut.gradient();
        float[] actual = all.floats();
        float[] expected = new float[actual.length];
        float[] part = some.floats();
        int rows = (int) some.size(0);
        int columns = (int) some.size(1);
        for (int i = 0; i < rows; i++) {
            System.arraycopy(part, i * columns, expected, i * (int) all.size(1), columns);
        }
        for (int i = 0; i < expected.length; i++) {
            if (expected[i] == 0) {
                assertThat(actual[i]).as(whole.name()).isZero();
            }
        }
        Golden.assertClose(whole.name(), actual, expected, 2e-5);
    }

    @Test
    void theFileOfAllTermsIsWhatEvaluationSaw(@TempDir Path folder) {
        DyLora dylora = DyLora.create(config(), 5).saving(2, RANK);
        try (Llama model = model(DType.F32, dylora)) {
            PacaModels.train(model, 6);
            float[] logits = model.logits(PacaModels.batch(2));
            model.adapter().save(folder);
            for (Path same : List.of(folder, folder.resolve("rank-" + RANK))) {
                try (Llama loaded = model(DType.F32, Lora.frozen(same))) {
                    assertThat(loaded.logits(PacaModels.batch(2))).isEqualTo(logits);
                }
            }
            try (Llama shorter = model(DType.F32, Lora.frozen(folder.resolve("rank-2")))) {
                assertThat(shorter.logits(PacaModels.batch(2))).isNotEqualTo(logits);
            }
            model.merge();
            Golden.assertClose("merged", model.logits(PacaModels.batch(2)), logits, 1e-5);
        }
    }

    /** A gate moves by AdamW's step and then towards zero; the file has the terms that are left. */
    @Test
    void gatesVanishAndTheFileIsPlainLora(@TempDir Path folder) {
        Sora sora = Sora.create(config(), 40, 5);
        try (Llama model = model(DType.F32, sora);
                Llama without = model(DType.F32, Sora.create(config(), 0, 5));
                Trainer trainer = PacaModels.trainer(model, 9);
                Trainer plain = PacaModels.trainer(without, 9)) {
            long all = sora.left();
            assertThat(all).isEqualTo(2 * (3 * RANK + 3));
            trainer.step();
            plain.step();
            for (Parameter gates : model.trainable()) {
                if (gates.name().endsWith("lora_E")) {
                    float[] actual = gates.master().floats();
                    float[] moved = values(without, gates.name());
                    for (int i = 0; i < actual.length; i++) {
                        double expected = Math.signum(moved[i]) * Math.max(0, Math.abs(moved[i]) - 0.01 * 40);
                        assertThat((double) actual[i]).isCloseTo(expected, Offset.offset(1e-6));
                    }
                }
            }
            trainer.step();
            assertThat(sora.left()).isBetween(1L, all - 1);
            float[] logits = model.logits(PacaModels.batch(2));
            sora.save(folder);
            Lora lora = Lora.frozen(folder);
            try (Llama loaded = model(DType.F32, lora)) {
                Golden.assertClose("loaded", loaded.logits(PacaModels.batch(2)), logits, 1e-5);
                int kept = lora.projections().stream()
                        .mapToInt(p -> lora.config().rank(p.module()))
                        .sum();
                assertThat(kept).isEqualTo((int) sora.left());
            }
            trainer.run();
            assertThat(sora.left()).isZero();
            sora.save(folder.resolve("none"));
            try (Llama loaded = model(DType.F32, Lora.frozen(folder.resolve("none")));
                    Llama base = model(DType.F32, null)) {
                assertThat(loaded.logits(PacaModels.batch(2))).isEqualTo(base.logits(PacaModels.batch(2)));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"dylora", "sora"})
    void threadsAndInterruptionsChangeNoBit(String method, @TempDir Path folder) {
        Supplier<Adapter> make = () -> adapter(method);
        Path file = folder.resolve("run");
        List<float[]> whole = run(2, make.get(), 6, null, null);
        assertThat(run(1, make.get(), 6, null, null)).usingRecursiveComparison().isEqualTo(whole);
        run(2, make.get(), 3, null, file);
        assertThat(run(4, make.get(), 6, file, null)).usingRecursiveComparison().isEqualTo(whole);
    }

    private static List<float[]> run(int threads, Adapter adapter, long steps, Path from, Path to) {
        try (Context own = Context.cpu(threads);
                Scope inner = own.scope();
                Llama model = PacaModels.model(inner, DType.BF16, adapter);
                Trainer trainer = PacaModels.trainer(model, steps)) {
            PacaModels.train(trainer, steps, from, to);
            List<float[]> result = new ArrayList<>();
            model.trainable().forEach(p -> result.add(p.master().floats()));
            return result;
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void checkpointingChangesNoBit(DType dtype) {
        for (String method : List.of("dylora", "sora")) {
            List<float[]> gradients = new ArrayList<>();
            for (boolean checkpointing : new boolean[] {false, true}) {
                Llama.Options options =
                        Llama.Options.training(adapter(method)).withGradientCheckpointing(checkpointing);
                try (Llama model = Golden.load(scope, "llama_gqa", dtype, options);
                        Trainer trainer = PacaModels.trainer(model, 3)) {
                    trainer.run();
                    gradients.add(values(model, "q_proj.lora_A.weight"));
                }
            }
            assertThat(gradients.get(1)).isEqualTo(gradients.get(0));
        }
    }

    @Test
    void whatCannotBeIsRefused() {
        PeftLoraConfig dora = PeftLoraConfig.builder()
                .weightDecomposed(true)
                .targets("q_proj")
                .build();
        assertThatThrownBy(() -> Sora.create(dora, 1, 1)).hasMessage("Sora: use_dora has no factors of terms");
        PeftLoraConfig stabilised =
                PeftLoraConfig.builder().rankStabilised(true).targets("q_proj").build();
        assertThatThrownBy(() -> DyLora.create(stabilised, 1)).hasMessageContaining("use_rslora is not supported");
        assertThatThrownBy(() -> Sora.create(config(), -1, 1)).hasMessageContaining("is -1.0, must be >= 0");
        for (int rank : IntStream.of(0, RANK + 1).toArray()) {
            assertThatThrownBy(() -> DyLora.create(config(), 1).saving(rank))
                    .hasMessage("DyLora: a rank to be saved is " + rank + ", must be in 1..6");
        }
    }
}
