package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.PeftLoraConfig;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Generator;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Weight;
import io.graft.train.AdamW;
import io.graft.train.Example;
import io.graft.train.ExampleBatches;
import io.graft.train.Trainer;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Several LoRA adapters on one model: batches against PEFT's adapter_names, training, files. */
class LoraSetTest extends InContext {
    private static final String MODEL = "llama_gqa";
    private static final List<String> NAMES = List.of("lora", "lora_rs", "lora_layers");
    private static final String[] ROWS = {"lora_rs", "lora", LoraSet.BASE, "lora_layers", "lora"};
    private static final int[] IDS = {1, 7, 3, 9, 4, 30, 11, 2};

    private Llama model(Adapter adapter) {
        return Golden.load(scope, MODEL, DType.F32, Llama.Options.training(adapter));
    }

    private static Map<String, Path> directories() {
        Map<String, Path> directories = new LinkedHashMap<>();
        NAMES.forEach(name -> directories.put(name, Golden.adapter(MODEL, name)));
        return directories;
    }

    private static Lora fresh(String target, double dropout, long seed) {
        return Lora.create(
                PeftLoraConfig.builder()
                        .rank(3)
                        .targets(target)
                        .dropout(dropout)
                        .build(),
                seed);
    }

    private static LoraSet freshPair() {
        Map<String, Lora> parts = new LinkedHashMap<>();
        parts.put("a", fresh("q_proj", 0.1, 1));
        parts.put("b", fresh("v_proj", 0.1, 2));
        return LoraSet.of(parts);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aMixedBatchEqualsPeft(boolean checkpointing) {
        LoraSet set = LoraSet.load(directories());
        try (SafetensorsFile expected = Golden.tensors(MODEL, "mixed_batch");
                Llama model = Golden.load(
                        scope,
                        MODEL,
                        DType.F32,
                        Llama.Options.training(set).withGradientCheckpointing(checkpointing))) {
            Batch batch = Golden.batch(scope, expected).withAdapters(ROWS);
            Golden.assertClose("logits", model.logits(batch), Golden.floats(scope, expected, "logits"), 2e-5);
            float loss = Golden.floats(scope, expected, "loss")[0];
            assertThat(model.lossAndGradients(batch)).isCloseTo(loss, Offset.offset(1e-5f * loss));
            assertThat(expected.names().stream().filter(key -> key.startsWith("grad.")))
                    .hasSize(model.trainable().size());
            for (Parameter parameter : model.trainable()) {
                String key = "grad." + set.owner(parameter) + "." + set.key(parameter);
                Golden.assertClose(key, parameter.gradient().floats(), Golden.floats(scope, expected, key), 1e-4);
            }
        }
    }

    @Test
    void anAdapterGeneratesAsItDoesAlone() {
        try (Llama together = model(LoraSet.frozen(directories()))) {
            for (String name : NAMES) {
                try (Llama alone = model(Lora.frozen(Golden.adapter(MODEL, name)));
                        Generator one = new Generator(alone);
                        Generator some = new Generator(together, name)) {
                    assertThat(some.greedy(IDS, 12)).isEqualTo(one.greedy(IDS, 12));
                }
            }
            try (Llama base = model(null);
                    Generator one = new Generator(base);
                    Generator none = new Generator(together, LoraSet.BASE)) {
                assertThat(none.greedy(IDS, 12)).isEqualTo(one.greedy(IDS, 12));
            }
        }
    }

    @Test
    void adaptersWorkOverQuantisedWeights() {
        Batch batch = Batch.of(1, IDS.length, IDS, null);
        Llama.Options frozen = Llama.Options.training(LoraSet.frozen(directories()));
        Llama.Options one = Llama.Options.training(Lora.frozen(Golden.adapter(MODEL, "lora")));
        try (Llama together = Golden.load(scope, MODEL, DType.F32, frozen.withBase(Weight.Kind.NF4));
                Llama alone = Golden.load(scope, MODEL, DType.F32, one.withBase(Weight.Kind.NF4))) {
            float[] expected = alone.logits(batch);
            Golden.assertClose("logits", together.logits(batch.withAdapters("lora")), expected, 1e-5);
        }
    }

    @Test
    void filesAreThoseOfEachAdapter(@TempDir Path folder) {
        try (Llama model = model(LoraSet.load(directories()))) {
            model.adapter().save(folder);
        }
        for (String name : NAMES) {
            try (SafetensorsFile was =
                            SafetensorsFile.open(Golden.adapter(MODEL, name).resolve(PeftAdapter.FILE));
                    SafetensorsFile is =
                            SafetensorsFile.open(folder.resolve(name).resolve(PeftAdapter.FILE))) {
                assertThat(is.names()).containsExactlyInAnyOrderElementsOf(was.names());
                for (String key : was.names()) {
                    assertThat(Golden.floats(scope, is, key)).isEqualTo(Golden.floats(scope, was, key));
                }
            }
        }
    }

    @Test
    void eachExampleTrainsTheAdapterThatItNames() {
        AdamW.Settings settings = AdamW.Settings.defaults().withWeightDecay(0);
        LoraSet set = freshPair();
        try (Llama model = model(set)) {
            List<float[]> before = values(model);
            List<Example> examples = List.of(Example.of(IDS).withAdapter("b"));
            Trainer.Options options = Trainer.Options.of(3, 1e-2).withOptimiser(settings);
            try (Trainer trainer = new Trainer(model, options, new ExampleBatches(examples, 1, 16, 8, 1))) {
                float first = trainer.step();
                trainer.step();
                assertThat(trainer.step()).isLessThan(first);
            }
            for (int i = 0; i < before.size(); i++) {
                Parameter parameter = model.trainable().get(i);
                boolean still = parameter.value().floats()[0] == before.get(i)[0];
                assertThat(still)
                        .as(parameter.name())
                        .isEqualTo(set.owner(parameter).equals("a"));
            }
        }
    }

    private static List<float[]> values(Llama model) {
        return model.trainable().stream().map(p -> p.value().floats()).toList();
    }

    @Test
    void aResumedRunHasTheSameBits(@TempDir Path folder) {
        Path file = folder.resolve("run.safetensors");
        List<List<float[]>> ends = new java.util.ArrayList<>();
        for (boolean resumed : new boolean[] {false, true}) {
            try (Llama model = model(freshPair());
                    Trainer trainer = trainer(model)) {
                if (resumed) {
                    trainer.resume(file);
                } else {
                    trainer.step();
                    trainer.step();
                    trainer.save(file);
                }
                trainer.run();
                ends.add(values(model));
            }
        }
        for (int i = 0; i < ends.get(0).size(); i++) {
            assertThat(ends.get(1).get(i)).isEqualTo(ends.get(0).get(i));
        }
    }

    private static Trainer trainer(Llama model) {
        List<Example> examples = List.of(
                Example.of(IDS).withAdapter("b"),
                Example.of(3, 4, 5).withAdapter("a"),
                Example.of(9, 8, 7, 6).withAdapter(LoraSet.BASE));
        return new Trainer(model, Trainer.Options.of(5, 1e-2), new ExampleBatches(examples, 2, 16, 8, 1));
    }

    @Test
    void namesThatSayNothingAreRefused() {
        Batch batch = Batch.of(2, 4, IDS, null);
        try (Llama model = model(LoraSet.frozen(directories()));
                Llama plain = model(null)) {
            assertThatThrownBy(() -> model.loss(batch))
                    .hasMessage(
                            "row 0 names no adapter; the model has [lora, lora_rs, lora_layers], and __base__ is none"
                                    + " of them");
            assertThatThrownBy(() -> model.loss(Batch.of(2, 4, IDS, null).withAdapters("lora", "other")))
                    .hasMessageStartingWith("row 1 names other; the model has [lora,");
            assertThatThrownBy(() -> batch.withAdapters("lora")).hasMessage("withAdapters: 1 names for 2 rows: [lora]");
            assertThatThrownBy(() -> plain.loss(Batch.of(2, 4, IDS, null).withAdapters("lora", "lora")))
                    .hasMessageStartingWith("row 0 names lora; the model has []");
            assertThatThrownBy(model::merge).isInstanceOf(UnsupportedOperationException.class);
            float base = plain.loss(batch);
            assertThat(plain.loss(batch.withAdapters(LoraSet.BASE, LoraSet.BASE)))
                    .isEqualTo(base);
        }
    }

    @Test
    void adaptersThatDoNotGoTogetherAreRefused() {
        Lora dora = Lora.frozen(Golden.adapter(MODEL, "dora"));
        assertThatThrownBy(() -> LoraSet.of(Map.of("d", dora))).hasMessageContaining("'d' does more than add BA");
        Lora head = Lora.frozen(Golden.adapter(MODEL, "lora_modules_to_save"));
        assertThatThrownBy(() -> LoraSet.of(Map.of("h", head))).hasMessageContaining("modules_to_save");
        assertThatThrownBy(() -> LoraSet.of(Map.of())).hasMessageContaining("not names");
        assertThatThrownBy(() -> LoraSet.of(Map.of(LoraSet.BASE, fresh("q_proj", 0, 1))))
                .hasMessageContaining("not names");
        Map<String, Lora> parts = Map.of("a", fresh("q_proj", 0.1, 1), "b", fresh("q_proj", 0.2, 1));
        assertThatThrownBy(() -> model(LoraSet.of(parts))).hasMessageContaining("one batch has one dropout");
    }

    @Test
    void aBatchIsFilledAgain() {
        Batch batch = new Batch();
        batch.resize(2, 4);
        batch.adapter(0, "a");
        batch.adapter(1, LoraSet.BASE);
        assertThat(batch.adapters()).containsExactly("a", LoraSet.BASE);
        batch.resize(2, 4);
        assertThat(batch.adapters()).containsExactly(null, null);
        batch.resize(3, 4);
        assertThat(batch.adapters()).isNull();
    }
}
