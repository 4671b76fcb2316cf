package io.graft.adapter;

import static io.graft.adapter.PacaModels.batch;
import static io.graft.adapter.PacaModels.model;
import static io.graft.adapter.PacaModels.trainer;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.PeftLoraConfig;
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
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** ProPETL: prototypes that layers share, through masks of their own. */
class PropetlTest extends InContext {
    private static final double SHARE = 0.4;

    private static Propetl propetl(double share) {
        return Propetl.create(
                PeftLoraConfig.builder()
                        .rank(4)
                        .alpha(8)
                        .targets("q_proj", "v_proj", "down_proj")
                        .build(),
                share,
                3);
    }

    private static Map<String, float[]> values(Llama model) {
        Map<String, float[]> values = new HashMap<>();
        model.trainable().forEach(p -> values.put(p.name(), p.value().floats()));
        return values;
    }

    private static boolean[] mask(float[] scores) {
        float[] sorted = new float[scores.length];
        for (int i = 0; i < sorted.length; i++) {
            sorted[i] = Math.abs(scores[i]);
        }
        Arrays.sort(sorted);
        float least = sorted[sorted.length - (int) Math.ceil(SHARE * sorted.length)];
        boolean[] mask = new boolean[scores.length];
        for (int i = 0; i < mask.length; i++) {
            mask[i] = Math.abs(scores[i]) >= least;
        }
        return mask;
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void layersHaveTheirPartsOfOnePrototype(DType dtype, @TempDir Path folder) {
        Propetl propetl = propetl(SHARE);
        try (Llama model = model(scope, dtype, propetl);
                Llama base = model(scope, dtype, null)) {
            assertThat(model.logits(batch(2))).isEqualTo(base.logits(batch(2)));
            PacaModels.train(model, 5);
            assertThat(model.trainable().stream().filter(p -> p.name().startsWith("prototype.")))
                    .hasSize(6);
            assertThat(model.trainable().stream().filter(p -> p.name().endsWith(".scores")))
                    .hasSize(12);
            Map<String, float[]> values = values(model);
            int different = 0;
            for (Map.Entry<String, Tensor> one : propetl.tensors().entrySet()) {
                float[] product = one.getValue().floats();
                String name = one.getKey().replace(".weight", "");
                String kind = name.substring(name.lastIndexOf('.', name.lastIndexOf('.') - 1) + 1);
                float[] prototype = values.get("prototype." + kind + "."
                        + one.getValue().size(0) + "x" + one.getValue().size(1));
                boolean[] mask = mask(values.get(name + ".scores"));
                for (int i = 0; i < product.length; i++) {
                    assertThat(product[i]).isEqualTo(mask[i] ? prototype[i] : 0);
                    different += product[i] == 0 && prototype[i] != 0 ? 1 : 0;
                }
            }
            assertThat(different).isPositive();
            float[] logits = model.logits(batch(2));
            propetl.save(folder);
            try (Llama loaded = model(scope, dtype, Lora.frozen(folder))) {
                assertThat(loaded.logits(batch(2))).isEqualTo(logits);
            }
        }
    }

    /** A prototype has the gradients of its layers where their masks are, a mask's scores that of the entry they let through. */
    @Test
    void gradientsGoStraightThroughTheChoice(@TempDir Path folder) {
        Propetl propetl = propetl(SHARE);
        try (Llama model = model(scope, DType.F32, propetl)) {
            PacaModels.train(model, 3);
            propetl.save(folder);
            Lora plain = Lora.load(folder);
            try (Llama lora = model(scope, DType.F32, plain)) {
                model.zeroGradients();
                model.lossAndGradients(batch(2));
                lora.lossAndGradients(batch(2));
                Map<String, float[]> values = values(model);
                Map<String, float[]> expected = new HashMap<>();
                for (Parameter parameter : lora.trainable()) {
                    float[] g = parameter.gradient().floats();
                    String name = parameter.name().replace(".weight", "");
                    String kind = name.substring(name.lastIndexOf('.', name.lastIndexOf('.') - 1) + 1);
                    String shared =
                            "prototype." + kind + "." + parameter.value().size(0) + "x"
                                    + parameter.value().size(1);
                    float[] prototype = values.get(shared);
                    float[] scores = values.get(name + ".scores");
                    boolean[] mask = mask(scores);
                    float[] sum = expected.computeIfAbsent(shared, key -> new float[g.length]);
                    float[] own = new float[g.length];
                    for (int i = 0; i < g.length; i++) {
                        sum[i] += mask[i] ? g[i] : 0;
                        own[i] = g[i] * prototype[i] * Math.signum(scores[i]);
                    }
                    expected.put(name + ".scores", own);
                }
                for (Parameter parameter : model.trainable()) {
                    Golden.assertClose(
                            parameter.name(), parameter.gradient().floats(), expected.get(parameter.name()), 2e-5);
                }
            }
        }
    }

    @Test
    void withOpenMasksLayersShareAnAdapter() {
        try (Llama model = model(scope, DType.F32, propetl(1))) {
            PacaModels.train(model, 3);
            Map<String, Tensor> tensors = ((Propetl) model.adapter()).tensors();
            String key = "base_model.model.model.layers.%d.self_attn.q_proj.lora_A.weight";
            assertThat(tensors.get(key.formatted(0)).floats())
                    .isEqualTo(tensors.get(key.formatted(1)).floats());
        }
    }

    @Test
    void threadsAndInterruptionsChangeNoBit(@TempDir Path folder) {
        Path file = folder.resolve("run");
        List<float[]> whole = run(2, 6, null, null);
        run(1, 3, null, file);
        assertThat(run(4, 6, file, null)).usingRecursiveComparison().isEqualTo(whole);
    }

    private static List<float[]> run(int threads, long steps, Path from, Path to) {
        try (Context own = Context.cpu(threads);
                Scope inner = own.scope();
                Llama model = model(inner, DType.BF16, propetl(SHARE));
                Trainer trainer = trainer(model, steps)) {
            PacaModels.train(trainer, steps, from, to);
            List<float[]> result = new ArrayList<>();
            model.trainable().forEach(p -> result.add(p.master().floats()));
            return result;
        }
    }

    @Test
    void whatCannotBeIsRefused() {
        assertThatThrownBy(() -> propetl(0))
                .hasMessageContaining("the share that masks keep is 0.0, must be in (0, 1]");
        assertThatThrownBy(() -> model(scope, DType.F64, propetl(1))).hasMessageContaining("not in F64 models");
    }
}
