package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.graft.io.SafetensorsFile;
import io.graft.io.SafetensorsWriter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** {@code graft trace} against what transformers, PEFT and PyTorch computed. */
class TraceTest {
    private static final Pattern LAST_NORM =
            Pattern.compile("grad\\.(model|model\\.language_model|transformer)\\.(norm|ln_f)\\.weight");

    @TempDir
    Path folder;

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    static List<String> models() {
        return Cli.models("base.safetensors");
    }

    static List<String> adapted() {
        return Cli.models("lora.steps.json");
    }

    @ParameterizedTest
    @MethodSource("models")
    void baseModelAgrees(String model) {
        Path golden = Cli.golden(model, "base.safetensors");
        Path out = folder.resolve("trace.safetensors");
        Cli run = Cli.run("trace", "--model", Cli.model(model), "--batch", golden, "--out", out, "--gradients");
        assertThat(run.err()).isEmpty();
        assertThat(run.status()).isZero();
        compare(golden, out, true);
    }

    @ParameterizedTest
    @MethodSource("adapted")
    void adapterAgrees(String model) throws Exception {
        Path golden = Cli.golden(model, "lora.safetensors");
        Path out = folder.resolve("trace.safetensors");
        JsonNode steps =
                new ObjectMapper().readTree(Cli.golden(model, "lora.steps.json").toFile());
        Cli run = Cli.run(
                "trace",
                "--model",
                Cli.model(model),
                "--adapter",
                Cli.adapter(model, "lora"),
                "--batch",
                golden,
                "--out",
                out,
                "--gradients",
                "--steps",
                steps.get("steps"),
                "--lr",
                steps.get("lr"),
                "--weight-decay",
                steps.get("weight_decay"),
                "--clip",
                steps.get("clip_norm"),
                "--json");
        assertThat(run.status()).isZero();
        assertThat(run.events("step")).hasSize(steps.get("steps").asInt());
        compare(golden, out, false);
        afterSteps(steps, Cli.golden(model, "lora.after_steps.safetensors"), out);
    }

    @Test
    void withoutGradientsThereAreLogitsAndLossOnly() {
        Path out = folder.resolve("trace.safetensors");
        Cli run = Cli.run(
                "trace",
                "--model",
                Cli.model("llama_tied"),
                "--batch",
                Cli.golden("llama_tied", "base.safetensors"),
                "--out",
                out,
                "--json");
        assertThat(run.events("trace")).hasSize(1);
        try (SafetensorsFile file = SafetensorsFile.open(out)) {
            assertThat(file.names()).containsExactlyInAnyOrder("logits", "loss");
        }
    }

    /** Where positions begin at 0 again a row has another sequence: each has the logits that it has in a row of its own. */
    @Test
    void positionsThatBeginAgainPack() throws Exception {
        int[] ids = {5, 9, 31, 7, 12, 40, 3, 8, 22, 17};
        Path packed = batch("packed", ids, 10, new int[] {0, 1, 2, 3, 0, 1, 2, 3, 4, 5});
        int[] apart = {5, 9, 31, 7, 0, 0, 12, 40, 3, 8, 22, 17};
        Path rows = batch("rows", apart, 6, null);
        float[] one = logits(packed);
        float[] two = logits(rows);
        int width = one.length / 10;
        for (int token = 0; token < 10; token++) {
            int other = token < 4 ? token : token + 2;
            for (int i = 0; i < width; i++) {
                assertThat(one[token * width + i]).isCloseTo(two[other * width + i], within(1e-4f));
            }
        }
        Path wrong = batch("wrong", ids, 10, new int[] {0, 1, 2, 3, 0, 1, 2, 4, 4, 5});
        Cli run = Cli.run("trace", "--model", Cli.model("llama_tied"), "--batch", wrong, "--out", folder.resolve("o"));
        assertThat(run.err()).contains("position_ids[0, 7] is 4, expected 0 or 3");
    }

    private Path batch(String name, int[] ids, int length, int[] positions) {
        Path file = folder.resolve(name + ".safetensors");
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            tensors.put("input_ids", longs(scope, ids, length));
            if (positions != null) {
                tensors.put("position_ids", longs(scope, positions, length));
            }
            SafetensorsWriter.write(file, tensors, SafetensorsWriter.PYTORCH);
        }
        return file;
    }

    private static Tensor longs(Scope scope, int[] values, int length) {
        long[] wide = Arrays.stream(values).asLongStream().toArray();
        return scope.tensor(Memory.WORKSPACE, DType.I64, values.length / length, length)
                .set(wide);
    }

    private float[] logits(Path batch) {
        Path out = folder.resolve("logits.safetensors");
        Cli run = Cli.run("trace", "--model", Cli.model("llama_tied"), "--batch", batch, "--out", out);
        assertThat(run.err()).isEmpty();
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                SafetensorsFile file = SafetensorsFile.open(out)) {
            return read(scope, file, "logits");
        }
    }

    @Test
    void aFileWithoutIdsIsNamed() {
        Path wrong = Cli.adapter("llama_tied", "lora").resolve("adapter_model.safetensors");
        Cli run = Cli.run("trace", "--model", Cli.model("llama_tied"), "--batch", wrong, "--out", folder.resolve("o"));
        assertThat(run.status()).isEqualTo(1);
        assertThat(run.err()).contains(wrong.toString(), "input_ids");
    }

    @Test
    void anAdapterOfAnotherModelIsRefused() {
        Cli run = Cli.run(
                "trace",
                "--model",
                Cli.model("llama_tied"),
                "--adapter",
                Cli.adapter("llama_gqa", "lora"),
                "--batch",
                Cli.golden("llama_tied", "base.safetensors"),
                "--out",
                folder.resolve("o"));
        assertThat(run.status()).isEqualTo(1);
        assertThat(run.err()).startsWith("graft trace: ").contains("lora_A");
    }

    private static void compare(Path golden, Path out, boolean whole) {
        try (Context context = Context.cpu();
                Scope scope = context.scope();
                SafetensorsFile expected = SafetensorsFile.open(golden);
                SafetensorsFile found = SafetensorsFile.open(out)) {
            float[] logits = read(scope, expected, "logits");
            near("logits", read(scope, found, "logits"), logits, 2e-5 * largest(logits), 0);
            float loss = read(scope, expected, "loss")[0];
            assertThat(read(scope, found, "loss")[0]).isCloseTo(loss, within(1e-5f * loss));
            long gradients = 0;
            for (String name : expected.names()) {
                if (name.startsWith("grad.")) {
                    gradients++;
                    near(name, read(scope, found, name), read(scope, expected, name), 1e-5, 1e-4);
                }
            }
            assertThat(gradients).isPositive();
            long own = found.names().stream()
                    .filter(name -> name.startsWith("grad."))
                    .count();
            assertThat(own).as("number of gradients").isEqualTo(gradients);
            assertThat(found.names().stream().anyMatch(LAST_NORM.asMatchPredicate()))
                    .isEqualTo(whole);
        }
    }

    private static void afterSteps(JsonNode steps, Path golden, Path out) {
        double slack = Math.max(2e-5, 10 * steps.at("/stability/after_steps").asDouble());
        double rate = steps.get("lr").asDouble();
        int count = steps.get("steps").asInt();
        try (Context context = Context.cpu();
                Scope scope = context.scope();
                SafetensorsFile expected = SafetensorsFile.open(golden);
                SafetensorsFile found = SafetensorsFile.open(out)) {
            float[] losses = read(scope, found, "losses");
            float[] norms = read(scope, found, "gradient_norms");
            double largest = 0;
            for (JsonNode norm : steps.get("gradient_norm_before_clip")) {
                largest = Math.max(largest, norm.asDouble());
            }
            for (int i = 0; i < count; i++) {
                double loss = steps.get("loss").get(i).asDouble();
                assertThat((double) losses[i]).isCloseTo(loss, within(1e-5 * loss));
                double norm = steps.get("gradient_norm_before_clip").get(i).asDouble();
                assertThat((double) norms[i]).isCloseTo(norm, within(1e-4 * largest));
            }
            for (String name : expected.names()) {
                float[] want = read(scope, expected, name);
                float[] have = read(scope, found, name);
                int far = 0;
                for (int i = 0; i < want.length; i++) {
                    double difference = Math.abs(want[i] - have[i]);
                    // why: AdamW moves an element whose gradient is nearly zero by ±rate, whichever sign it has
                    assertThat(difference).as(name).isLessThan(2 * rate * count);
                    far += difference > slack ? 1 : 0;
                }
                assertThat(far).as(name).isLessThanOrEqualTo(Math.max(1, want.length / 1000));
            }
        }
    }

    private static void near(String name, float[] have, float[] want, double absolute, double relative) {
        assertThat(have).as(name).hasSameSizeAs(want);
        for (int i = 0; i < want.length; i++) {
            assertThat((double) have[i])
                    .as("%s[%d]", name, i)
                    .isCloseTo(want[i], within(absolute + relative * Math.abs(want[i])));
        }
    }

    private static double largest(float[] values) {
        double largest = 0;
        for (float value : values) {
            largest = Math.max(largest, Math.abs(value));
        }
        return largest;
    }

    private static float[] read(Scope scope, SafetensorsFile file, String name) {
        try (Tensor tensor = scope.tensor(Memory.WORKSPACE, DType.F32, file.shape(name))) {
            file.read(name, tensor);
            return tensor.floats();
        }
    }
}
