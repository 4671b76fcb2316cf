package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.SafetensorsWriter;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.ops.Random;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Averages of adapter files, as they are and with their units in one order. */
class AdapterAverageTest {
    @TempDir
    Path folder;

    private Context context;

    @BeforeEach
    void open() {
        context = Context.cpu(1);
    }

    @AfterEach
    void close() {
        context.close();
    }

    @ParameterizedTest
    @ValueSource(strings = {"lora", "adalora", "ia3", "miss", "prompt_tuning", "ln_tuning", "paca", "shira", "vera"})
    void anAdapterWithItselfIsTheSame(String method) throws Exception {
        Path adapter = Golden.adapter("llama_gqa", method);
        Path out = folder.resolve("out");
        AdapterAverage.write(context, List.of(adapter, adapter, adapter), new double[] {1, 0.5, 0.5}, false, out);
        assertThat(Files.mismatch(out.resolve(PeftAdapter.FILE), adapter.resolve(PeftAdapter.FILE)))
                .isEqualTo(-1);
        assertThat(out.resolve("adapter_config.json")).hasSameTextualContentAs(adapter.resolve("adapter_config.json"));
    }

    @Test
    void weightsAreDividedByTheirSum() {
        Path one = lora("one", 1);
        Path two = lora("two", 2);
        Path out = folder.resolve("out");
        AdapterAverage.write(context, List.of(one, two), new double[] {3, 1}, false, out);
        Map<String, StoredTensors.Values> first = StoredTensors.read(context, one);
        Map<String, StoredTensors.Values> second = StoredTensors.read(context, two);
        StoredTensors.read(context, out).forEach((key, values) -> {
            for (int i = 0; i < values.floats().length; i++) {
                double expected = 0.75 * first.get(key).floats()[i]
                        + 0.25 * second.get(key).floats()[i];
                assertThat(values.floats()[i]).isEqualTo((float) expected);
            }
        });
    }

    /** Units of a copy in another order: aligned, the average is the adapter itself; otherwise it is something else. */
    @ParameterizedTest
    @ValueSource(strings = {"lora", "bottleneck"})
    void alignedUnitsFindTheirOwn(String kind) throws Exception {
        Path adapter = kind.equals("lora") ? lora("one", 1) : bottleneck("one", 1);
        Path shuffled = shuffled(adapter);
        Path out = folder.resolve("out");
        AdapterAverage.write(context, List.of(adapter, shuffled), new double[] {1, 1}, true, out);
        assertThat(Files.mismatch(out.resolve(PeftAdapter.FILE), adapter.resolve(PeftAdapter.FILE)))
                .isEqualTo(-1);
        AdapterAverage.write(context, List.of(adapter, shuffled), new double[] {1, 1}, false, out);
        assertThat(Files.mismatch(out.resolve(PeftAdapter.FILE), adapter.resolve(PeftAdapter.FILE)))
                .isNotEqualTo(-1);
    }

    @Test
    void theCheapestAssignmentIsThatOfAllPermutations() {
        SplittableRandom random = new SplittableRandom(5);
        for (int n = 1; n <= 6; n++) {
            for (int trial = 0; trial < 20; trial++) {
                double[][] cost = new double[n][n];
                for (double[] row : cost) {
                    Arrays.setAll(row, j -> random.nextInt(-9, 10));
                }
                int[] chosen = Assignment.cheapest(cost);
                assertThat(Arrays.stream(chosen).distinct().count()).isEqualTo(n);
                double sum = 0;
                for (int i = 0; i < n; i++) {
                    sum += cost[i][chosen[i]];
                }
                assertThat(sum).isEqualTo(least(cost, 0, new boolean[n]));
            }
        }
    }

    private static double least(double[][] cost, int row, boolean[] taken) {
        if (row == cost.length) {
            return 0;
        }
        double least = Double.POSITIVE_INFINITY;
        for (int j = 0; j < cost.length; j++) {
            if (!taken[j]) {
                taken[j] = true;
                least = Math.min(least, cost[row][j] + least(cost, row + 1, taken));
                taken[j] = false;
            }
        }
        return least;
    }

    @Test
    void whatHasNoAverageIsRefused() {
        Path lora = Golden.adapter("llama_gqa", "lora");
        Path out = folder.resolve("out");
        refused(List.of(lora, Golden.adapter("llama_gqa", "ia3")), false, "field '");
        refused(List.of(lora, Golden.adapter("llama_gqa", "lora_rs")), false, "field 'target_modules' is");
        refused(List.of(lora, Golden.adapter("llama_gqa", "lora_pattern")), false, "field 'alpha_pattern' is {");
        refused(List.of(lora, Golden.adapter("llama_tied", "lora")), false, "expected [");
        Path ia3 = Golden.adapter("llama_gqa", "ia3");
        refused(List.of(ia3, ia3), true, "has no units to align");
        assertThatThrownBy(() -> AdapterAverage.write(context, List.of(lora), new double[] {-1}, false, out))
                .hasMessageContaining("whose sum must be positive");
        assertThat(out).doesNotExist();
    }

    private void refused(List<Path> folders, boolean aligned, String message) {
        assertThatThrownBy(() ->
                        AdapterAverage.write(context, folders, new double[] {1, 1}, aligned, folder.resolve("out")))
                .hasMessageContaining(message);
    }

    private Path lora(String name, long seed) {
        PeftLoraConfig config = PeftLoraConfig.builder()
                .rank(5)
                .alpha(5)
                .targets("q_proj", "down_proj")
                .build();
        return saved(name, Lora.create(config, seed), seed);
    }

    private Path bottleneck(String name, long seed) {
        return saved(
                name,
                Bottleneck.create(PeftBottleneckConfig.of("", PeftBottleneckConfig.SERIAL_TARGETS, 5, false), seed),
                seed);
    }

    private Path saved(String name, Adapter adapter, long seed) {
        Path out = folder.resolve(name);
        try (Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_tied", Llama.Options.training(adapter))) {
            long[] offset = {0};
            model.trainable().forEach(parameter -> {
                Random.normal(context, seed, offset[0], 0, 1, parameter.master());
                offset[0] += parameter.master().elements();
            });
            adapter.save(out);
        }
        return out;
    }

    private Path shuffled(Path adapter) throws Exception {
        Map<String, StoredTensors.Values> all = new LinkedHashMap<>(StoredTensors.read(context, adapter));
        int[] order = {3, 0, 4, 1, 2};
        all.replaceAll((key, values) -> {
            boolean down = key.contains("_A") || key.contains("down.weight");
            int rows = (int) values.shape()[0];
            int columns = (int) values.shape()[1];
            float[] turned = new float[rows * columns];
            for (int i = 0; i < rows; i++) {
                for (int j = 0; j < columns; j++) {
                    turned[i * columns + j] = values.floats()[down ? order[i] * columns + j : i * columns + order[j]];
                }
            }
            return StoredTensors.Values.of(turned, values.shape());
        });
        Path out = folder.resolve("shuffled");
        Files.createDirectories(out);
        Files.copy(adapter.resolve("adapter_config.json"), out.resolve("adapter_config.json"));
        try (Scope scope = context.scope()) {
            SafetensorsWriter.write(
                    out.resolve(PeftAdapter.FILE), StoredTensors.tensors(scope, all), Map.of("format", "pt"));
        }
        return out;
    }
}
