package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.io.Checkpoint;
import io.graft.io.CodedWeights;
import io.graft.io.SafetensorsFile;
import io.graft.io.SafetensorsWriter;
import io.graft.io.TensorSource;
import io.graft.ops.Nf4;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code merge}: PEFT's numbers, and a model that stands by itself. */
class MergeTest {
    private static final Path MODEL = Cli.model("llama_tied");

    @TempDir
    Path folder;

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    private Cli merge(Path model, Path adapter, Object... more) {
        List<Object> all = new ArrayList<>(
                List.of("merge", "--model", model, "--adapter", adapter, "--out", folder.resolve("out")));
        all.addAll(Arrays.asList(more));
        return Cli.run(all.toArray());
    }

    @ParameterizedTest
    @ValueSource(strings = {"lora", "dora", "ia3", "paca", "shira", "oft"})
    void theFilesHoldWhatPeftMerges(String method) {
        assertThat(merge(Cli.model("llama_gqa"), Cli.adapter("llama_gqa", method))
                        .err())
                .isEmpty();
        Path out = folder.resolve("out");
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                SafetensorsFile expected =
                        SafetensorsFile.open(Cli.golden("llama_gqa", method + ".merged.safetensors"));
                SafetensorsFile written = SafetensorsFile.open(out.resolve("model.safetensors"))) {
            for (String name : expected.names()) {
                float[] golden = floats(scope, expected, name);
                assertThat(floats(scope, written, name)).as(name).containsExactly(golden, Offset.offset(1e-6f));
            }
        }
    }

    @Test
    void theMergedModelStandsByItself() throws Exception {
        Path adapter = Cli.adapter("llama_tied", "lora");
        Path out = folder.resolve("out");
        Cli run = merge(MODEL, adapter, "--json");
        assertThat(run.err()).isEmpty();
        assertThat(run.events("merged").get(0).get("bytes").asLong())
                .isEqualTo(Files.size(out.resolve("model.safetensors")));
        double base = loss(MODEL);
        double adapted = loss(MODEL, "--adapter", adapter);
        assertThat(loss(out)).isCloseTo(adapted, Offset.offset(1e-5)).isNotCloseTo(base, Offset.offset(1e-3));
    }

    @Test
    void theTypeOfTheFilesCanBeChosen() {
        assertThat(merge(MODEL, Cli.adapter("llama_tied", "lora"), "--dtype", "bf16")
                        .err())
                .isEmpty();
        try (SafetensorsFile written =
                SafetensorsFile.open(folder.resolve("out").resolve("model.safetensors"))) {
            assertThat(written.names()).allMatch(name -> written.dtype(name).bytes() == DType.BF16.bytes());
        }
    }

    /** A file is cut before it grows over the limit; together they are what one file holds. */
    @Test
    void shardsAreNamedAsTransformersNamesThem() throws Exception {
        Path adapter = Cli.adapter("llama_tied", "lora");
        Cli whole = merge(MODEL, adapter, "--json");
        assertThat(whole.events("merged").get(0).get("files").asInt()).isEqualTo(1);
        Path one = Files.move(folder.resolve("out"), folder.resolve("one"));
        Cli run = merge(MODEL, adapter, "--max-shard-size", "40KB", "--json");
        assertThat(run.err()).isEmpty();
        Path out = folder.resolve("out");
        int files = run.events("merged").get(0).get("files").asInt();
        assertThat(files).isGreaterThan(2);
        assertThat(out.resolve("model.safetensors")).doesNotExist();
        for (int i = 1; i <= files; i++) {
            assertThat(out.resolve(String.format("model-%05d-of-%05d.safetensors", i, files)))
                    .exists();
        }
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Checkpoint parts = Checkpoint.open(out);
                Checkpoint single = Checkpoint.open(one)) {
            assertThat(parts.names()).hasSameElementsAs(single.names());
            assertThat(parts.files()).hasSize(files);
            for (String name : single.names()) {
                assertThat(floats(scope, parts, name)).as(name).containsExactly(floats(scope, single, name));
            }
        }
        assertThat(loss(out)).isEqualTo(loss(one));
        assertThat(Files.readString(out.resolve("model.safetensors.index.json")))
                .contains("\"total_size\"");
    }

    /** Codes of a file, or those that a dense model got in memory while the adapter was trained, are decoded. */
    @Test
    void anAdapterOverCodesIsMergedIntoTheirNumbers() throws Exception {
        Path adapter = Cli.adapter("llama_tied", "lora");
        Path coded = folder.resolve("coded");
        assertThat(Cli.run("quantize", "--model", MODEL, "--output", coded).status())
                .isZero();
        Cli run = merge(coded, adapter, "--json");
        assertThat(run.err()).isEmpty();
        assertThat(run.events("merged").get(0).get("largest_error").asDouble()).isZero();
        Path decoded = Files.move(folder.resolve("out"), folder.resolve("decoded"));
        assertThat(loss(decoded)).isCloseTo(loss(coded, "--adapter", adapter), Offset.offset(1e-5));
        assertThat(Files.readString(decoded.resolve("config.json"))).doesNotContain("quantization_config");
        assertThat(merge(MODEL, adapter, "--base", "nf4").err()).isEmpty();
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Checkpoint memory = Checkpoint.open(folder.resolve("out"));
                Checkpoint file = Checkpoint.open(decoded)) {
            for (String name : file.names()) {
                assertThat(floats(scope, memory, name)).as(name).containsExactly(floats(scope, file, name));
            }
        }
        assertThat(merge(coded, adapter, "--base", "nf4", "--overwrite").err()).contains("coded holds codes already");
    }

    /** The error is what the codes' numbers differ by from the dense sum. */
    @Test
    void requantisedLayersReportTheirError() throws Exception {
        Path adapter = Cli.adapter("llama_tied", "lora");
        merge(MODEL, adapter);
        Path exact = Files.move(folder.resolve("out"), folder.resolve("exact"));
        Cli run = merge(MODEL, adapter, "--quantize", "nf4", "--json");
        assertThat(run.err()).isEmpty();
        Path coded = folder.resolve("out");
        Cli.run("quantize", "--model", exact, "--output", folder.resolve("again"));
        double squares = 0;
        double reference = 0;
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Checkpoint sum = Checkpoint.open(exact);
                Checkpoint codes = Checkpoint.open(coded);
                Checkpoint again = Checkpoint.open(folder.resolve("again"))) {
            assertThat(codes.names()).hasSameElementsAs(again.names());
            for (JsonNode event : run.events("tensor")) {
                String name = event.get("name").asText();
                float[] dense = floats(scope, sum, name);
                float[] found = dense;
                String module = name.substring(0, name.lastIndexOf('.'));
                if (CodedWeights.form(codes, module).kind() == Weight.Kind.NF4) {
                    assertThat(event.get("error").asDouble()).isBetween(0.03, 0.2);
                    long[] shape = sum.shape(name);
                    Weight weight = scope.nf4(Memory.WORKSPACE, shape[0], shape[1], true);
                    CodedWeights.read(codes, module, weight, null);
                    Tensor matrix = scope.tensor(Memory.WORKSPACE, DType.F32, shape);
                    Nf4.dequantize(context, weight, matrix);
                    found = matrix.floats();
                    CodedWeights.read(again, module, weight, null);
                    Nf4.dequantize(context, weight, matrix);
                    assertThat(matrix.floats()).as(name).containsExactly(found);
                } else {
                    assertThat(event.get("error").asDouble()).isZero();
                }
                for (int i = 0; i < dense.length; i++) {
                    squares += ((double) found[i] - dense[i]) * ((double) found[i] - dense[i]);
                    reference += (double) dense[i] * dense[i];
                }
            }
        }
        assertThat(run.events("merged").get(0).get("error").asDouble())
                .isCloseTo(Math.sqrt(squares / reference), Offset.offset(1e-9));
        assertThat(loss(coded)).isEqualTo(loss(folder.resolve("again")));
    }

    /** Rounding to bf16 is the only error, and no larger than half its last digit. */
    @Test
    void roundingIsReportedToo() {
        Cli run = merge(MODEL, Cli.adapter("llama_tied", "lora"), "--dtype", "bf16", "--json");
        double error = run.events("merged").get(0).get("error").asDouble();
        assertThat(error).isBetween(1e-4, 1.0 / 256);
        Cli text = merge(MODEL, Cli.adapter("llama_tied", "lora"), "--dtype", "bf16", "--errors", "--overwrite");
        assertThat(text.out()).contains("model.layers.0.self_attn.q_proj.weight: 0.00");
    }

    @Test
    void badInputIsNamedAndNothingIsWritten() throws Exception {
        Path adapter = Cli.adapter("llama_tied", "lora");
        assertThat(merge(MODEL, Cli.adapter("llama_tied", "prompt_tuning")).err())
                .contains("no weight can hold what PromptTuning does");
        assertThat(merge(MODEL, folder.resolve("none")).err()).contains("--adapter does not exist");
        assertThat(merge(MODEL, adapter, "--max-shard-size", "5 boxes").err()).contains("'5 boxes' is no size");
        assertThat(merge(Cli.model("llama_gqa"), adapter).status()).isNotZero();
        assertThat(folder).isEmptyDirectory();
        assertThat(Cli.run("merge", "--model", MODEL, "--adapter", adapter, "--out", MODEL)
                        .err())
                .contains("must not be, or hold, what is read");
    }

    @Test
    void whatIsThereIsReplacedWholeOrNotAtAll() throws Exception {
        Path adapter = Cli.adapter("llama_tied", "lora");
        Path out = folder.resolve("out");
        merge(MODEL, adapter, "--max-shard-size", "40KB");
        assertThat(merge(MODEL, adapter).err()).contains("--overwrite replaces it");
        Path broken = Files.createDirectory(folder.resolve("broken"));
        Files.copy(MODEL.resolve("config.json"), broken.resolve("config.json"));
        byte[] weights = Files.readAllBytes(MODEL.resolve("model.safetensors"));
        Files.write(broken.resolve("model.safetensors"), weights);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                SafetensorsFile whole = SafetensorsFile.open(MODEL.resolve("model.safetensors"))) {
            Map<String, Tensor> some = new LinkedHashMap<>();
            for (String name : whole.names()) {
                if (!name.equals("model.norm.weight")) {
                    some.put(name, scope.tensor(Memory.WORKSPACE, whole.dtype(name), whole.shape(name)));
                }
            }
            SafetensorsWriter.write(broken.resolve("model.safetensors"), some, Map.of());
        }
        assertThat(merge(broken, adapter, "--overwrite").err()).contains("model.norm.weight");
        assertThat(loss(out)).isPositive();
        assertThat(merge(MODEL, adapter, "--overwrite").status()).isZero();
        try (var files = Files.list(out)) {
            assertThat(files.map(Path::getFileName).map(Path::toString))
                    .contains("model.safetensors")
                    .noneMatch(name -> name.contains("-of-") || name.contains("index"));
        }
        try (var left = Files.list(folder)) {
            assertThat(left.map(Path::getFileName).map(Path::toString)).noneMatch(name -> name.startsWith("."));
        }
        Path other = Files.createDirectory(folder.resolve("other"));
        Files.writeString(other.resolve("thesis.txt"), "mine");
        assertThat(Cli.run("merge", "--model", MODEL, "--adapter", adapter, "--out", other, "--overwrite")
                        .err())
                .contains("holds thesis.txt");
        assertThat(other.resolve("thesis.txt")).hasContent("mine");
    }

    private double loss(Path model, Object... more) throws Exception {
        Path text = Files.writeString(folder.resolve("text.txt"), "assertEquals(1, list.get(1));\n".repeat(20));
        List<Object> all = new ArrayList<>(
                List.of("eval", "--model", model, "--data", text, "--length", 32, "--batch", 2, "--json"));
        all.addAll(Arrays.asList(more));
        return Cli.run(all.toArray()).events("eval").get(0).get("loss").asDouble();
    }

    private static float[] floats(Scope scope, TensorSource file, String name) {
        Tensor tensor = scope.tensor(Memory.WORKSPACE, DType.F32, file.shape(name));
        file.read(name, tensor);
        return tensor.floats();
    }
}
