package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SafetensorsWriterTest {
    private final Context context = Context.cpu();
    private final Scope scope = context.scope();

    @TempDir
    Path directory;

    @AfterEach
    void close() {
        context.close();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "models/llama_gqa/model.safetensors",
                "models/llama_rope3/model-00002-of-00003.safetensors",
                "adapters/llama_gqa/lora/adapter_model.safetensors",
                "cases/llama_gqa/base.safetensors",
                "ops/lora_linear/0.safetensors"
            })
    void rewrittenFilesAreThoseOfThePythonLibrary(String name) throws IOException {
        Path original = Fixtures.path(name);
        Path copy = directory.resolve("copy.safetensors");
        try (SafetensorsFile file = SafetensorsFile.open(original)) {
            Map<String, Tensor> tensors = new HashMap<>();
            for (String tensor : file.names()) {
                Tensor into = scope.tensor(Memory.BASE, file.dtype(tensor), file.shape(tensor));
                file.read(tensor, into);
                tensors.put(tensor, into);
            }
            SafetensorsWriter.write(copy, tensors, file.metadata());
        }
        assertThat(copy).hasSameBinaryContentAs(original);
    }

    @Test
    void widestTypesComeFirstAndDataIsAligned() {
        Map<String, Tensor> tensors = Map.of(
                "a", scope.tensor(Memory.BASE, DType.U8, 1),
                "b", scope.tensor(Memory.BASE, DType.F16, 1),
                "c", scope.tensor(Memory.BASE, DType.BF16, 1),
                "e", scope.tensor(Memory.BASE, DType.F32, 1),
                "d", scope.tensor(Memory.BASE, DType.F32, 1),
                "f", scope.tensor(Memory.BASE, DType.I64, 1));
        Path path = directory.resolve("x.safetensors");
        SafetensorsWriter.write(path, tensors, SafetensorsWriter.PYTORCH);
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            assertThat(file.names()).containsExactly("f", "d", "e", "c", "b", "a");
            assertThat(file.metadata()).isEqualTo(Map.of("format", "pt"));
        }
    }

    @Test
    void fullDiskLeavesTheOldFile() throws IOException {
        Path full = Path.of("/dev/full");
        assumeTrue(Files.isWritable(full), "needs /dev/full");
        Path path = directory.resolve("x.safetensors");
        Files.writeString(path, "old");
        Map<String, Tensor> tensors = Map.of("x", scope.tensor(Memory.BASE, DType.F32, 100_000));
        assertThatThrownBy(() -> AtomicFiles.write(path, ignored -> {
                    try (FileChannel channel = FileChannel.open(full, StandardOpenOption.WRITE)) {
                        SafetensorsWriter.writeTo(channel, tensors, List.of(), Map.of());
                    }
                }))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("cannot write " + path)
                .hasMessageContaining("No space left");
        assertThat(path).hasContent("old");
        assertThat(directory).isDirectoryNotContaining(file -> !file.equals(path));
    }

    @Test
    void diskThatFillsHalfWayLeavesTheOldFile() throws IOException {
        Path path = directory.resolve("x.safetensors");
        Files.writeString(path, "old", StandardCharsets.UTF_8);
        Map<String, Tensor> tensors = Map.of("x", scope.tensor(Memory.BASE, DType.F32, 100_000));
        assertThatThrownBy(() -> AtomicFiles.write(
                        path,
                        channel ->
                                SafetensorsWriter.writeTo(new FullAfter(channel, 1000), tensors, List.of(), Map.of())))
                .isInstanceOf(UncheckedIOException.class);
        assertThat(path).hasContent("old");
        assertThat(directory).isDirectoryNotContaining(file -> !file.equals(path));
    }

    @Test
    void missingDirectoryAndReservedNameAreRefused() {
        Map<String, Tensor> tensors = Map.of("__metadata__", scope.tensor(Memory.BASE, DType.F32, 1));
        assertThatThrownBy(() -> SafetensorsWriter.write(directory.resolve("x"), tensors, List.of(), Map.of()))
                .isInstanceOf(IllegalArgumentException.class);
        assertThat(directory).isEmptyDirectory();
        assertThatThrownBy(() -> SafetensorsWriter.write(directory.resolve("none/x"), Map.of(), Map.of()))
                .isInstanceOf(UncheckedIOException.class);
    }

    @Test
    void carriedBytesThatAreNotThoseOfTheirTensorAreRefused() throws IOException {
        StoredTensor carried = new StoredTensor("x", SafetensorsType.U32, 2, 3);
        Path path = directory.resolve("x.safetensors");
        Files.writeString(path, "old");
        List<Map<String, Tensor>> wrong = List.of(
                Map.of(),
                Map.of("y", scope.tensor(Memory.BASE, DType.U8, 24)),
                Map.of("x", scope.tensor(Memory.BASE, DType.F32, 24)),
                Map.of("x", scope.tensor(Memory.BASE, DType.U8, 23)),
                Map.of("x", scope.matrix(Memory.BASE, DType.U8, 4, 6, 8)));
        for (Map<String, Tensor> tensors : wrong) {
            assertThatThrownBy(() -> SafetensorsWriter.write(path, tensors, List.of(carried), Map.of()))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("the values of the carried 'x' are ")
                    .hasMessageContaining("must be U8 [24] without gaps");
            assertThat(path).hasContent("old");
        }
        Map<String, Tensor> right = Map.of("x", scope.tensor(Memory.BASE, DType.U8, 24));
        SafetensorsWriter.write(path, right, List.of(carried), Map.of());
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            assertThat(file.stored("x")).usingRecursiveComparison().isEqualTo(carried);
        }
    }

    /** A channel on a disk with room for so many bytes; writes less than asked before it fails. */
    private static final class FullAfter implements WritableByteChannel {
        private final FileChannel channel;
        private int room;

        FullAfter(FileChannel channel, int room) {
            this.channel = channel;
            this.room = room;
        }

        @Override
        public int write(ByteBuffer buffer) throws IOException {
            if (room == 0) {
                throw new IOException("No space left on device");
            }
            int count = Math.min(room, buffer.remaining());
            channel.write(buffer.slice(buffer.position(), count));
            buffer.position(buffer.position() + count);
            room -= count;
            return count;
        }

        @Override
        public boolean isOpen() {
            return true;
        }

        @Override
        public void close() {}
    }
}
