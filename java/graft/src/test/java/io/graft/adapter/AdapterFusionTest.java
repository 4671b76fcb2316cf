package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.PeftBottleneckConfig;
import io.graft.model.Batch;
import io.graft.model.Generator;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Attention over trained adapters; that its gradients are right is shown by MixtureGradientTest. */
class AdapterFusionTest extends InContext {
    private static final List<String> TARGETS = PeftBottleneckConfig.SERIAL_TARGETS;

    @TempDir
    Path folder;

    private static Batch batch() {
        return Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);
    }

    private Llama model(DType dtype, Adapter adapter) {
        return Golden.load(scope, "llama_gqa", dtype, Llama.Options.training(adapter));
    }

    private static void move(Llama model, int step) {
        for (Parameter parameter : model.trainable()) {
            float[] values = parameter.master().floats();
            for (int i = 0; i < values.length; i++) {
                values[i] += 0.03f * (i % step - 2);
            }
            parameter.master().set(values);
            parameter.refreshValue();
        }
        model.parametersChanged();
    }

    private Path adapter(int size, List<String> targets, boolean parallel) {
        Path directory = folder.resolve("part" + size + targets.size() + parallel);
        try (Llama model =
                model(DType.F32, Bottleneck.create(PeftBottleneckConfig.of("", targets, size, parallel), size))) {
            move(model, size);
            model.adapter().save(directory);
        }
        return directory;
    }

    private AdapterFusion fusion(Path first, Path second) {
        Map<String, Path> adapters = new LinkedHashMap<>();
        adapters.put("first", first);
        adapters.put("second", second);
        return AdapterFusion.create("", adapters, 3);
    }

    /** The values are the identity, and the scores add up to 1. */
    @Test
    void anAdapterBesideItselfIsThatAdapter() {
        Path part = adapter(5, TARGETS, false);
        try (Llama alone = model(DType.F32, Bottleneck.frozen(part));
                Llama fused = model(DType.F32, fusion(part, part))) {
            Golden.assertClose("logits", fused.logits(batch()), alone.logits(batch()), 1e-5);
            assertThat(fused.trainable()).hasSize(12);
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void inferenceIsTrainingAndFilesComeBack(DType dtype) {
        float loss;
        Path out = folder.resolve("out");
        try (Llama model = model(dtype, fusion(adapter(5, TARGETS, false), adapter(3, TARGETS, false)))) {
            move(model, 7);
            loss = model.lossAndGradients(batch());
            assertThat(model.loss(batch())).isEqualTo(loss);
            model.adapter().save(out);
        }
        try (Llama model = model(dtype, AdapterFusion.frozen(out))) {
            assertThat(model.loss(batch())).isEqualTo(loss);
            assertThatThrownBy(model::merge).isInstanceOf(UnsupportedOperationException.class);
        }
        try (Llama model = model(dtype, AdapterFusion.load(out))) {
            move(model, 7);
            model.adapter().save(out); // over itself
            loss = model.loss(batch());
        }
        try (Llama model = model(dtype, AdapterFusion.frozen(out))) {
            assertThat(model.loss(batch())).isEqualTo(loss);
        }
    }

    @Test
    void generationIsThatOfWholePasses() {
        try (Llama model = model(DType.F32, fusion(adapter(5, TARGETS, false), adapter(3, TARGETS, false)));
                Generator generator = new Generator(model)) {
            int[] made = generator.greedy(new int[] {1, 7, 3}, 3);
            float[] logits = model.logits(Batch.of(1, 5, new int[] {1, 7, 3, made[0], made[1]}, null));
            int vocabulary = model.config().vocabularySize();
            for (int i = 0; i < vocabulary; i++) {
                assertThat(logits[4 * vocabulary + i]).isLessThanOrEqualTo(logits[4 * vocabulary + made[2]]);
            }
        }
    }

    @Test
    void trainsOverQuantisedWeights() {
        Llama.Options options = Llama.Options.training(fusion(adapter(5, TARGETS, false), adapter(3, TARGETS, false)))
                .withBase(Weight.Kind.NF4);
        try (Llama model = Golden.load(scope, "llama_gqa", DType.F32, options)) {
            model.lossAndGradients(batch());
            assertThat(model.trainable()).allMatch(p -> p.gradient().floats()[0] != 0);
        }
    }

    @Test
    void adaptersThatDoNotGoTogetherAreRefused() {
        Path both = adapter(5, TARGETS, false);
        assertThatThrownBy(() -> model(DType.F32, fusion(both, adapter(5, List.of("o_proj"), false))))
                .hasMessageContaining("not all of [first, second] have a network at");
        assertThatThrownBy(() -> model(DType.F32, fusion(both, adapter(5, TARGETS, true))))
                .hasMessageContaining("adapter 'second' at", "is not a plain network behind it");
        assertThatThrownBy(() -> AdapterFusion.create("", Map.of("one", both), 3))
                .hasMessageContaining("[one] are not several adapters");
    }
}
