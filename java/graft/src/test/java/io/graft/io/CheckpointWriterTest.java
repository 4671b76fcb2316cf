package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.ops.Nf4;
import io.graft.ops.Random;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Checkpoints that are laid out first and filled one tensor at a time. */
class CheckpointWriterTest extends InContext {
    @TempDir
    Path folder;

    private Tensor random(DType dtype, long... shape) {
        Tensor tensor = scope.tensor(Memory.WORKSPACE, dtype, shape);
        Random.uniform(context, 5, shape[0], -1, 1, tensor);
        return tensor;
    }

    private static List<String> cut(long limit, long... bytes) {
        List<StoredTensor> tensors = new ArrayList<>();
        for (int i = 0; i < bytes.length; i++) {
            tensors.add(new StoredTensor("t" + i, DType.U8, bytes[i]));
        }
        return CheckpointWriter.cut(tensors, limit).stream()
                .map(file ->
                        String.join("+", file.stream().map(StoredTensor::name).toList()))
                .toList();
    }

    /** What huggingface_hub's split_state_dict_into_shards_factory makes of the same sizes. */
    @Test
    void filesAreCutAsTransformersCutsThem() {
        assertThat(cut(10, 6, 6, 2, 6, 2, 2)).containsExactly("t0", "t1+t2", "t3+t4+t5");
        assertThat(cut(10, 3, 11, 4, 12, 3, 1)).containsExactly("t1", "t3", "t0+t2+t4", "t5");
        assertThat(cut(10, 10, 10)).containsExactly("t0", "t1");
        assertThat(cut(10, 11)).containsExactly("t0");
        assertThat(cut(10, 0, 4)).containsExactly("t0+t1");
        assertThat(cut(10)).isEmpty();
    }

    /** Whatever the order in which tensors come. */
    @Test
    void oneFileHasTheBytesOfTheOtherWriter() throws Exception {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        tensors.put("b", random(DType.F32, 3, 5));
        tensors.put("a", random(DType.BF16, 7));
        tensors.put("c", random(DType.F32, 2, 2).columns(0, 1));
        SafetensorsWriter.write(folder.resolve("expected"), tensors, SafetensorsWriter.PYTORCH);
        List<StoredTensor> stored = new ArrayList<>();
        tensors.forEach((name, tensor) -> stored.add(StoredTensor.of(name, tensor)));
        try (CheckpointWriter writer = new CheckpointWriter(folder, stored, 1000)) {
            for (String name : List.of("c", "a", "b")) {
                writer.write(name, tensors.get(name));
            }
            writer.finish("{}");
            assertThat(writer.bytes()).isEqualTo(15 * 4 + 14 + 8);
        }
        assertThat(Files.mismatch(folder.resolve("expected"), folder.resolve("model.safetensors")))
                .isEqualTo(-1);
        assertThat(folder.resolve("model.safetensors.index.json")).doesNotExist();
    }

    @Test
    void tensorsAreRoundedOnTheWay() {
        Tensor exact = random(DType.F32, 9, 4);
        Tensor rounded = scope.tensor(Memory.WORKSPACE, DType.BF16, 9, 4);
        TensorOps.copy(context, exact, rounded);
        try (CheckpointWriter writer =
                new CheckpointWriter(folder, List.of(new StoredTensor("w", DType.BF16, 9, 4)), 10)) {
            writer.write("w", exact);
            writer.finish("{}");
        }
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            Tensor read = scope.tensor(Memory.WORKSPACE, DType.F32, 9, 4);
            checkpoint.read("w", read);
            assertThat(read.floats()).containsExactly(rounded.floats());
        }
    }

    @Test
    void whatWasNotAnnouncedIsRefused() {
        List<StoredTensor> two = List.of(new StoredTensor("v", DType.F32, 2), new StoredTensor("w", DType.F32, 2));
        try (CheckpointWriter writer = new CheckpointWriter(folder, two, 8)) {
            assertThatThrownBy(() -> writer.write("x", random(DType.F32, 2)))
                    .hasMessageContaining("x was not announced");
            assertThatThrownBy(() -> writer.write("w", random(DType.F32, 3)))
                    .hasMessage("write: w has the shape [3], announced was [2]");
            writer.write("w", random(DType.F32, 2));
            assertThatThrownBy(() -> writer.write("w", random(DType.F32, 2))).hasMessageContaining("written already");
            assertThatThrownBy(() -> writer.finish("{}")).hasMessage("finish: v has not been written");
        }
        assertThatThrownBy(() -> new CheckpointWriter(folder.resolve("none"), List.of(two.get(0), two.get(0)), 8))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("none");
        assertThatThrownBy(() -> new CheckpointWriter(
                        Files.createDirectory(folder.resolve("new")), List.of(two.get(0), two.get(0)), 80))
                .hasMessage("two tensors are called v");
    }

    @Test
    void aFullDiskIsSaidBeforeAnythingIsWritten() {
        assertThatThrownBy(() -> CheckpointWriter.expectSpace(folder, Long.MAX_VALUE))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("it needs " + Long.MAX_VALUE + " bytes, and the disk has ");
        CheckpointWriter.expectSpace(folder, 1);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void thePlaceOfCodesIsKnownBeforeThem(boolean nested) {
        Weight weight = scope.nf4(Memory.WORKSPACE, 40, 96, nested);
        List<StoredTensor> stored = CodedWeights.stored("m", weight);
        Nf4.quantize(context, random(DType.F32, 40, 96), weight);
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        CodedWeights.put(tensors, scope, "m", weight, null);
        assertThat(stored.stream().map(StoredTensor::name)).hasSameElementsAs(tensors.keySet());
        for (StoredTensor tensor : stored) {
            assertThat(tensors.get(tensor.name()).shape()).as(tensor.name()).containsExactly(tensor.shape());
            assertThat(tensors.get(tensor.name()).dtype()).isEqualTo(tensor.dtype());
        }
    }
}
