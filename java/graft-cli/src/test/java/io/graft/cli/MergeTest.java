package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.io.SafetensorsFile;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
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

    @Test
    void badInputIsNamedAndNothingIsWritten() throws Exception {
        Path adapter = Cli.adapter("llama_tied", "lora");
        assertThat(merge(MODEL, Cli.adapter("llama_tied", "prompt_tuning")).err())
                .contains("prompt_tuning cannot be merged");
        Path coded = folder.resolve("coded");
        Cli.run("quantize", "--model", MODEL, "--output", coded);
        assertThat(merge(coded, adapter).err()).contains("coded holds codes");
        assertThat(merge(MODEL, folder.resolve("none")).err()).contains("--adapter does not exist");
        assertThat(folder.resolve("out")).doesNotExist();
        assertThat(Cli.run("merge", "--model", MODEL, "--adapter", adapter, "--out", MODEL)
                        .err())
                .contains("must not be a folder that is read");
        merge(MODEL, adapter);
        assertThat(merge(MODEL, adapter).err()).contains("--overwrite replaces it");
        assertThat(merge(MODEL, adapter, "--overwrite").status()).isZero();
    }

    private double loss(Path model, Object... more) throws Exception {
        Path text = Files.writeString(folder.resolve("text.txt"), "assertEquals(1, list.get(1));\n".repeat(20));
        List<Object> all = new ArrayList<>(
                List.of("eval", "--model", model, "--data", text, "--length", 32, "--batch", 2, "--json"));
        all.addAll(Arrays.asList(more));
        return Cli.run(all.toArray()).events("eval").get(0).get("loss").asDouble();
    }

    private static float[] floats(Scope scope, SafetensorsFile file, String name) {
        Tensor tensor = scope.tensor(Memory.WORKSPACE, DType.F32, file.shape(name));
        file.read(name, tensor);
        return tensor.floats();
    }
}
