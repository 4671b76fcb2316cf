package io.graft.adapter;

import static io.graft.adapter.PacaModels.batch;
import static io.graft.adapter.PacaModels.model;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.LlamaConfig;
import io.graft.io.PeftSsfConfig;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** SSF: it starts at the base model, scales and shifts outputs, and comes back from a file. */
class SsfTest extends InContext {
    private static Ssf ssf(String... targets) {
        return Ssf.create(PeftSsfConfig.of("base", List.of(targets)));
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void stepZeroIsTheBaseAndFilesComeBack(DType dtype, @TempDir Path folder) {
        Ssf ssf = ssf(LlamaConfig.PROJECTIONS.toArray(String[]::new));
        try (Llama adapted = model(scope, dtype, ssf);
                Llama base = model(scope, dtype, null)) {
            float[] logits = base.logits(batch(2));
            // In bf16 what a layer adds to the residual stream is rounded before it is scaled.
            double rounding = dtype == DType.F32 ? 0 : 2e-2;
            Golden.assertClose("step 0", adapted.logits(batch(2)), logits, rounding);
            PacaModels.train(adapted, 4);
            float[] trained = adapted.logits(batch(2));
            assertThat(Golden.relativeError(trained, logits)).isGreaterThan(0.03);
            ssf.save(folder);
            try (Llama loaded = model(scope, dtype, Ssf.frozen(folder))) {
                assertThat(loaded.logits(batch(2))).isEqualTo(trained);
            }
            assertThatThrownBy(adapted::merge)
                    .isInstanceOf(UnsupportedOperationException.class)
                    .hasMessageContaining("in no weight");
        }
    }

    /** Without shifts it is a base whose weights have scaled rows; with them it is BitFit on that base. */
    @Test
    void outputsAreScaledAndThenShifted(@TempDir Path folder) {
        String[] targets = {"k_proj", "o_proj", "up_proj"};
        Ssf ssf = ssf(targets);
        BitFit bitfit = BitFit.create(io.graft.io.PeftBitFitConfig.of("base", List.of(targets)));
        try (Llama adapted = model(scope, DType.F32, ssf);
                Llama scaled = model(scope, DType.F32, bitfit)) {
            Map<String, float[]> numbers = new HashMap<>();
            for (Parameter parameter : adapted.trainable()) {
                float[] values = parameter.value().floats();
                for (int i = 0; i < values.length; i++) {
                    values[i] += 0.3f * (float) Math.sin(i + parameter.name().length());
                }
                values[1] = 0;
                parameter.value().set(values);
                numbers.put(parameter.name(), values);
            }
            adapted.parametersChanged();
            for (Projection projection : scaled.projections()) {
                String key = PeftAdapter.PREFIX + projection.module();
                float[] scales = numbers.get(key + ".ssf_scale");
                Tensor matrix = projection.weight().matrix();
                float[] w = matrix.floats();
                for (int i = 0; scales != null && i < w.length; i++) {
                    w[i] *= scales[i / (int) projection.weight().k()];
                }
                matrix.set(w);
            }
            for (Parameter bias : scaled.trainable()) {
                bias.value().set(numbers.get(bias.name().replace(".bias", ".ssf_shift")));
            }
            scaled.parametersChanged();
            Golden.assertClose("logits", adapted.logits(batch(2)), scaled.logits(batch(2)), 1e-5);
        }
    }
}
