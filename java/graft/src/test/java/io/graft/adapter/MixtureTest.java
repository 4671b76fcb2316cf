package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.graft.io.FormatException;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftIa3Config;
import io.graft.io.PeftMoeLoraConfig;
import io.graft.io.PeftMovConfig;
import io.graft.io.RouterSettings;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Generator;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Weight;
import io.graft.train.Example;
import io.graft.train.ExampleBatches;
import io.graft.train.Trainer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Mixtures of adapters on a whole model; that their gradients are right is shown by MixtureGradientTest. */
class MixtureTest extends InContext {
    private static final String MODEL = "llama_gqa";
    private static final List<String> BEHIND = PeftBottleneckConfig.SERIAL_TARGETS;

    private static Batch batch() {
        return Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);
    }

    private static Adapter fresh(String kind) {
        return switch (kind) {
            case "moelora" -> moe(new RouterSettings(3, 3, 0));
            case "mixlora" -> moe(new RouterSettings(4, 2, 0.01));
            case "gatedlora" -> MoeLora.create(PeftMoeLoraConfig.gated("", LlamaConfig.PROJECTIONS, 3, 6), 2);
            case "mov" ->
                Mov.create(PeftMovConfig.of("", PeftIa3Config.LLAMA_TARGETS, new RouterSettings(3, 2, 0.1)), 2);
            case "gated" ->
                Bottleneck.create(PeftBottleneckConfig.of("", BEHIND, 5, false).withGates(), 2);
            case "adamix" -> AdaMix.create(PeftBottleneckConfig.of("", BEHIND, 5, false), 3, 2);
            default -> throw new IllegalArgumentException(kind);
        };
    }

    private static MoeLora moe(RouterSettings router) {
        return MoeLora.create(PeftMoeLoraConfig.of("", LlamaConfig.PROJECTIONS, 2, 4, router), 2);
    }

    private static Adapter frozen(String kind, Path folder) {
        return switch (kind) {
            case "mov" -> Mov.frozen(folder);
            case "gated", "adamix" -> Bottleneck.frozen(folder);
            default -> MoeLora.frozen(folder);
        };
    }

    private Llama model(DType dtype, Adapter adapter) {
        return Golden.load(scope, MODEL, dtype, Llama.Options.training(adapter));
    }

    private static boolean reached(Parameter parameter) {
        for (float value : parameter.gradient().floats()) {
            if (value != 0) {
                return true;
            }
        }
        return false;
    }

    private static void move(Llama model) {
        for (Parameter parameter : model.trainable()) {
            float[] values = parameter.master().floats();
            for (int i = 0; i < values.length; i++) {
                values[i] += 0.03f * (i % 7 - 2);
            }
            parameter.master().set(values);
            parameter.refreshValue();
        }
        model.parametersChanged();
    }

    @ParameterizedTest
    @CsvSource({
        "moelora, F32",
        "moelora, BF16",
        "mixlora, F32",
        "mixlora, BF16",
        "gatedlora, F32",
        "gatedlora, BF16",
        "mov, F32",
        "mov, BF16",
        "gated, F32",
        "gated, BF16",
        "adamix, F32",
        "adamix, BF16"
    })
    void startsAtTheBaseAndMoves(String kind, DType dtype) {
        float base;
        try (Llama model = model(dtype, null)) {
            base = model.loss(batch());
        }
        try (Llama model = model(dtype, fresh(kind))) {
            assertThat(model.loss(batch())).isEqualTo(base, within(dtype == DType.F32 ? 1e-5f : 0.03f));
            move(model);
            float moved = model.lossAndGradients(batch());
            assertThat(moved).isNotEqualTo(base);
            // Inference keeps nothing, and yet computes the same; AdaMix takes averages there.
            if (!kind.equals("adamix")) {
                assertThat(model.loss(batch())).isEqualTo(moved);
            }
            assertThat(model.trainable())
                    .allMatch(parameter -> parameter.gradient().dtype() == DType.F32);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"moelora", "mixlora", "gatedlora", "mov", "gated", "adamix"})
    void generationIsThatOfWholePasses(String kind) {
        try (Llama model = model(DType.F32, fresh(kind));
                Generator generator = new Generator(model)) {
            move(model);
            int[] made = generator.greedy(new int[] {1, 7, 3}, 3);
            float[] logits = model.logits(Batch.of(1, 5, new int[] {1, 7, 3, made[0], made[1]}, null));
            int vocabulary = model.config().vocabularySize();
            float best = logits[4 * vocabulary + made[2]];
            for (int i = 0; i < vocabulary; i++) {
                assertThat(logits[4 * vocabulary + i]).isLessThanOrEqualTo(best);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"moelora", "mixlora", "gatedlora", "mov", "gated", "adamix"})
    void filesComeBack(String kind, @TempDir Path folder) {
        float loss;
        try (Llama model = model(DType.BF16, fresh(kind))) {
            move(model);
            loss = model.loss(batch());
            model.adapter().save(folder);
        }
        try (Llama model = model(DType.BF16, frozen(kind, folder))) {
            assertThat(model.loss(batch())).isEqualTo(loss);
            assertThat(model.trainable()).isEmpty();
            assertThatThrownBy(model::merge).isInstanceOf(UnsupportedOperationException.class);
        }
    }

    @Test
    void aFileHoldsExpertsSideBySideAndTheRouter(@TempDir Path folder) {
        try (Llama model = model(DType.F32, fresh("mixlora"))) {
            model.adapter().save(folder);
            String key = "base_model.model.model.layers.1.mlp.down_proj.lora_";
            try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftAdapter.FILE))) {
                assertThat(file.names()).hasSize(3 * model.projections().size());
                int in = model.config().intermediateSize();
                assertThat(file.shape(key + "A.weight")).containsExactly(8, in);
                assertThat(file.shape(key + "router.weight")).containsExactly(4, in);
                assertThat(file.shape(key + "B.weight"))
                        .containsExactly(model.config().hiddenSize(), 8);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"moelora", "mixlora", "gatedlora", "mov", "gated", "adamix"})
    void trainsOverQuantisedWeights(String kind) {
        Llama.Options options = Llama.Options.training(fresh(kind)).withBase(Weight.Kind.NF4);
        try (Llama model = Golden.load(scope, MODEL, DType.F32, options)) {
            move(model);
            model.lossAndGradients(batch());
            assertThat(model.trainable().stream().anyMatch(MixtureTest::reached))
                    .isTrue();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"mixlora", "mov", "gated", "adamix"})
    void aResumedRunHasTheSameBits(String kind, @TempDir Path folder) {
        Path file = folder.resolve("run.safetensors");
        List<List<float[]>> ends = new ArrayList<>();
        for (boolean resumed : new boolean[] {false, true}) {
            List<Example> examples = List.of(Example.of(1, 7, 3, 9, 4), Example.of(30, 11, 2), Example.of(5, 6, 7, 8));
            try (Llama model = model(DType.BF16, fresh(kind));
                    Trainer trainer = new Trainer(
                            model, Trainer.Options.of(5, 1e-2), new ExampleBatches(examples, 2, 16, 8, 1))) {
                if (resumed) {
                    trainer.resume(file);
                } else {
                    trainer.step();
                    trainer.step();
                    trainer.save(file);
                }
                trainer.run();
                ends.add(
                        model.trainable().stream().map(p -> p.master().floats()).toList());
            }
        }
        for (int i = 0; i < ends.get(0).size(); i++) {
            assertThat(ends.get(1).get(i)).isEqualTo(ends.get(0).get(i));
        }
    }

    /** Gates add up to 1, whatever the router says. */
    @Test
    void aTrainedAdapterBesideItselfIsThatAdapter(@TempDir Path folder) {
        Path part = Golden.adapter(MODEL, "lora");
        Map<String, Path> parts = new LinkedHashMap<>(Map.of("one", part, "two", part));
        float loss;
        try (Llama alone = model(DType.F32, Lora.frozen(part));
                Llama model = model(DType.F32, MoeLora.over("", parts, 2, 0, 3))) {
            Golden.assertClose("logits", model.logits(batch()), alone.logits(batch()), 1e-5);
            assertThat(model.trainable())
                    .hasSameSizeAs(model.projections())
                    .allMatch(p -> p.name().endsWith(".lora_router.weight"));
            loss = model.loss(batch());
            model.adapter().save(folder);
        }
        try (Llama model = model(DType.F32, MoeLora.frozen(folder))) {
            assertThat(model.loss(batch())).isEqualTo(loss);
        }
    }

    @Test
    void trainedAdaptersMayDifferInRankButNotInModules() {
        Map<String, Path> parts = new LinkedHashMap<>();
        parts.put("one", Golden.adapter(MODEL, "lora"));
        parts.put("two", Golden.adapter(MODEL, "lora_pattern"));
        try (Llama model = model(DType.F32, MoeLora.over("", parts, 1, 0.1, 3))) {
            model.lossAndGradients(batch());
            assertThat(model.adapter().regularise()).isPositive();
        }
        parts.put("two", Golden.adapter(MODEL, "lora_rs"));
        assertThatThrownBy(() -> model(DType.F32, MoeLora.over("", parts, 2, 0, 3)))
                .hasMessageContaining("adapter 'two' and 'one' differ at");
        parts.put("two", Golden.adapter(MODEL, "dora"));
        assertThatThrownBy(() -> MoeLora.over("", parts, 2, 0, 3)).hasMessageContaining("'two' does more than add BA");
    }

    /** One sequence is padding but for three tokens: the balance is that of the others, whatever stands there. */
    @Test
    void paddingHasNoShareInTheBalance() {
        double[] balances = new double[2];
        for (int i = 0; i < 2; i++) {
            int[] ids = {1, 7, 3, 9, 4, 30, 5, 6, 7, i * 20, i * 11, i * 3};
            int[] labels = {1, 7, 3, 9, 4, 30, 5, 6, 7, -100, -100, -100};
            int[] mask = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0};
            try (Llama model = model(DType.F32, fresh("mixlora"))) {
                move(model);
                model.lossAndGradients(Batch.of(2, 6, ids, mask, labels));
                balances[i] = model.adapter().regularise();
                assertThat(model.adapter().regularise()).isZero();
            }
        }
        assertThat(balances[0]).isGreaterThan(0).isEqualTo(balances[1]);
    }

    /** Two halves of a batch with equally many targets: each counts half, as in the loss. */
    @Test
    void accumulationWeighsTheBalance() {
        int[] ids = {1, 7, 3, 9, 4, 30};
        try (Llama model = model(DType.F32, fresh("mixlora"))) {
            move(model);
            model.lossAndGradients(Batch.of(1, 6, ids, null));
            double once = model.adapter().regularise();
            model.lossAndGradients(Batch.of(1, 6, ids, null), 10, 0, 0);
            model.lossAndGradients(Batch.of(1, 6, ids, null), 10, 0, 0);
            assertThat(model.adapter().regularise()).isCloseTo(once, within(1e-6 * once));
        }
    }

    @Test
    void theAverageOfAdaMixIsTheMeanOfItsNetworks(@TempDir Path folder) {
        try (Llama model = model(DType.F32, fresh("adamix"))) {
            move(model);
            model.adapter().save(folder);
            try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftAdapter.FILE))) {
                assertThat(file.names()).hasSize(8);
                String key = "base_model.model.model.layers.0.self_attn.o_proj.adapter_down";
                float sum = 0;
                for (Parameter parameter : model.trainable()) {
                    sum += parameter.name().startsWith(key) ? parameter.value().floats()[9] : 0;
                }
                assertThat(Golden.floats(scope, file, key + ".weight")[9]).isCloseTo(sum / 3, within(1e-6f));
            }
        }
    }

    @Test
    void aPassOfAdaMixTrainsOneNetworkOfEachModule() {
        try (Llama model = model(DType.F32, fresh("adamix"))) {
            move(model);
            model.lossAndGradients(batch(), 0, 3, 5);
            long reached =
                    model.trainable().stream().filter(MixtureTest::reached).count();
            assertThat(reached).isEqualTo(model.trainable().size() / 3);
        }
    }

    @Test
    void settingsThatCannotBeAreRefused() {
        assertThatThrownBy(() -> moe(new RouterSettings(2, 3, 0)))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("'top_k' is 3 of 2 experts");
        assertThatThrownBy(() -> moe(new RouterSettings(2, 2, -1)))
                .hasMessageContaining("'router_aux_loss_coef' is -1");
        assertThatThrownBy(() -> PeftMoeLoraConfig.parse("f", """
                {"peft_type": "MOE_LORA", "router": "hash"}""")).hasMessageContaining("'hash', supported are");
        assertThatThrownBy(() -> PeftMoeLoraConfig.parse("f", """
                {"peft_type": "MOE_LORA", "router": "sigmoid", "top_k": 1}""")).hasMessageContaining("sigmoid");
        assertThatThrownBy(() -> AdaMix.create(PeftBottleneckConfig.of("", BEHIND, 5, false), 0, 2))
                .hasMessageContaining("0 experts");
    }
}
