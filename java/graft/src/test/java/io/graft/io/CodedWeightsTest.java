package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.ops.Nf4;
import io.graft.ops.Random;
import io.graft.ops.Sketch;
import io.graft.ops.SketchCompress;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.tensor.WeightForm;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Layers of codes in files: Graft's own layout, that of bitsandbytes, and that of the published sketches. */
class CodedWeightsTest extends InContext {
    private static final String STATE = "m.weight.quant_state.bitsandbytes__nf4";

    @TempDir
    Path folder;

    private Tensor tensor(DType dtype, long... shape) {
        return scope.tensor(Memory.WORKSPACE, dtype, shape);
    }

    private Tensor random(DType dtype, long... shape) {
        Tensor tensor = tensor(dtype, shape);
        Random.uniform(context, 3, 0, -1, 1, tensor);
        return tensor;
    }

    private SafetensorsFile file(Map<String, Tensor> tensors) {
        Path path = folder.resolve("coded.safetensors");
        SafetensorsWriter.write(path, tensors, Map.of());
        return SafetensorsFile.open(path);
    }

    private float[] decoded(Weight weight) {
        Tensor matrix = tensor(DType.F32, weight.n(), weight.k());
        if (weight.kind() == Weight.Kind.NF4) {
            Nf4.dequantize(context, weight, matrix);
        } else {
            Sketch.decode(context, weight, matrix);
        }
        return matrix.floats();
    }

    @ParameterizedTest
    @CsvSource({"4, 1", "3, 2", "2, 3"})
    void sketchesComeBack(int bits, int groups) {
        Tensor table = tensor(DType.F32, 5, groups, 1 << bits);
        Weight weight = scope.sketch(Memory.BASE, table, 210);
        SketchCompress.matrix(context, random(DType.F32, 5, 210), null, null, 0, weight, null);
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        CodedWeights.put(tensors, scope, "m", weight, table);
        try (SafetensorsFile file = file(tensors)) {
            assertThat(CodedWeights.form(file, "m")).isEqualTo(WeightForm.sketch(bits, groups));
            assertThat(CodedWeights.form(file, "n")).isEqualTo(WeightForm.DENSE);
            Tensor again = tensor(DType.F32, 5, groups, 1 << bits);
            Weight read = scope.sketch(Memory.BASE, again, 210);
            CodedWeights.read(file, "m", read, again);
            assertThat(decoded(read)).containsExactly(decoded(weight));
        }
    }

    /** Nibbles of whatever bits, the even column in the high one; one group may have no dimension of its own. */
    @ParameterizedTest
    @CsvSource({"4, 1, true", "4, 1, false", "4, 3, false", "3, 2, false", "2, 1, true"})
    void publishedSketchesAreRead(int bits, int groups, boolean flat) {
        int n = 4;
        int k = 132;
        int entries = 1 << bits;
        Tensor grid = random(DType.BF16, n, groups, entries);
        Tensor bytes = tensor(DType.U8, n, groups, k / groups / 2);
        float[] values = grid.floats();
        float[] expected = new float[n * k];
        for (int i = 0; i < n * k; i++) {
            int code = (i * 7 + i / k) % entries;
            int at = i / 2;
            int before = bytes.buffer().get(at);
            bytes.buffer().put(at, (byte) (i % 2 == 0 ? code << 4 : before | code));
            int group = i % k / (k / groups);
            expected[i] = values[(i / k * groups + group) * entries + code];
        }
        Map<String, Tensor> tensors = Map.of(
                "m.quant_grid", flat ? grid.reshape(n, entries) : grid,
                "m.weight_codes", flat ? bytes.reshape(n, k / 2) : bytes);
        try (SafetensorsFile file = file(tensors)) {
            assertThat(CodedWeights.form(file, "m")).isEqualTo(WeightForm.sketch(bits, groups));
            Tensor table = tensor(DType.F32, n, groups, entries);
            Weight weight = scope.sketch(Memory.BASE, table, k);
            CodedWeights.read(file, "m", weight, table);
            assertThat(decoded(weight)).containsExactly(expected);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void nf4HasTheTensorsOfBitsandbytes(boolean nested) {
        Weight weight = scope.nf4(Memory.BASE, 40, 96, nested);
        Nf4.quantize(context, random(DType.F32, 40, 96), weight);
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        CodedWeights.put(tensors, scope, "m", weight, null);
        try (SafetensorsFile file = file(tensors)) {
            assertThat(file.shape("m.weight")).containsExactly(40 * 96 / 2, 1);
            assertThat(file.dtype("m.weight.absmax")).isEqualTo(nested ? DType.U8 : DType.F32);
            assertThat(file.contains("m.weight.nested_absmax")).isEqualTo(nested);
            Tensor levels = tensor(DType.F32, 16);
            file.read("m.weight.quant_map", levels);
            assertThat(levels.floats())
                    .isSorted()
                    .startsWith(-1, -0.6961928f, -0.52507305f)
                    .endsWith(0.72295684f, 1);
            String state = text(file);
            assertThat(state).contains("\"quant_type\":\"nf4\"", "\"blocksize\":64", "\"shape\":[40,96]");
            assertThat(state.contains("\"nested_blocksize\":256")).isEqualTo(nested);
            if (nested) {
                Tensor map = tensor(DType.F32, 256);
                file.read("m.weight.nested_quant_map", map);
                assertThat(map.floats())
                        .isSorted()
                        .startsWith(-0.99296875f)
                        .endsWith(1)
                        .contains(0);
            }
            assertThat(CodedWeights.form(file, "m")).isEqualTo(new WeightForm(Weight.Kind.NF4, nested, 0, 0));
            Weight read = scope.nf4(Memory.BASE, 40, 96, nested);
            CodedWeights.read(file, "m", read, null);
            assertThat(decoded(read)).containsExactly(decoded(weight));
        }
    }

    private String text(SafetensorsFile file) {
        Tensor json = tensor(DType.U8, file.shape(STATE));
        file.read(STATE, json);
        byte[] bytes = new byte[(int) json.elements()];
        json.buffer().get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    @Test
    void otherLayoutsAreRefusedByName() {
        Weight weight = scope.nf4(Memory.BASE, 2, 64, false);
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        CodedWeights.put(tensors, scope, "m", weight, null);
        for (String[] change : new String[][] {
            {"\"blocksize\":64", "\"blocksize\":128", "field 'blocksize' is 128, supported is 64"},
            {"[2,64]", "[64,2]", "field 'shape' is [64,2]"},
            {"nf4\"", "fp4\"", "field 'quant_type' is 'fp4'"},
            {"{", "[", "not valid JSON"}
        }) {
            String text;
            try (SafetensorsFile file = file(tensors)) {
                text = text(file).replace(change[0], change[1]);
            }
            Map<String, Tensor> other = new LinkedHashMap<>(tensors);
            Tensor json = tensor(DType.U8, text.length());
            json.buffer().put(text.getBytes(StandardCharsets.UTF_8));
            other.put(STATE, json);
            try (SafetensorsFile file = file(other)) {
                assertThatThrownBy(() -> CodedWeights.read(file, "m", weight, null))
                        .hasMessageContaining(change[2]);
            }
        }
        try (SafetensorsFile file = file(Map.of("m.quant_grid", tensor(DType.F32, 2, 5)))) {
            assertThatThrownBy(() -> CodedWeights.form(file, "m"))
                    .hasMessageContaining("m.quant_grid' has the shape [2, 5], expected [N, groups, 16, 8 or 4]");
        }
    }
}
