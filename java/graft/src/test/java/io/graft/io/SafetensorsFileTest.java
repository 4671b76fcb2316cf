package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Tensors to disk and back: types, strides, large ones, and files that change under the reader. */
class SafetensorsFileTest {
    private final Context context = Context.cpu();
    private final Scope scope = context.scope();

    @TempDir
    Path directory;

    @AfterEach
    void close() {
        context.close();
    }

    @ParameterizedTest
    @EnumSource(DType.class)
    void everyTypeComesBackAsItWas(DType dtype) {
        Tensor written = scope.tensor(Memory.BASE, dtype, 3, 5);
        Tensor read = scope.tensor(Memory.BASE, dtype, 3, 5);
        if (dtype.isFloat()) {
            written.set(ramp(15));
        } else {
            written.set(new int[] {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100, 200, 250, 255});
        }
        try (SafetensorsFile file = open(Map.of("x", written))) {
            assertThat(file.dtype("x")).isEqualTo(dtype);
            assertThat(file.shape("x")).containsExactly(3, 5);
            file.read("x", read);
        }
        if (dtype.isFloat()) {
            assertThat(read.floats()).containsExactly(written.floats());
        } else {
            assertThat(read.longs()).containsExactly(written.longs());
        }
    }

    @Test
    void floatsAndIntegersConvert() {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        tensors.put("floats", scope.tensor(Memory.BASE, DType.F32, 4).set(1.5f, -2f, 0f, 1024f));
        tensors.put("longs", scope.tensor(Memory.BASE, DType.I64, 3).set(new long[] {7, -100, 1L << 30}));
        try (SafetensorsFile file = open(tensors)) {
            Tensor bf16 = scope.tensor(Memory.BASE, DType.BF16, 4);
            file.read("floats", bf16);
            assertThat(bf16.floats()).containsExactly(1.5f, -2f, 0f, 1024f);
            Tensor i32 = scope.tensor(Memory.BASE, DType.I32, 3);
            file.read("longs", i32);
            assertThat(i32.ints()).containsExactly(7, -100, 1 << 30);
            assertThatThrownBy(() -> file.read("longs", scope.tensor(Memory.BASE, DType.F32, 3)))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessageContaining("'longs' has the dtype I64, which does not become F32");
        }
    }

    @Test
    void stridesAreHonouredBothWays() {
        Tensor written = scope.matrix(Memory.BASE, DType.F32, 7, 3, 8).set(ramp(21));
        Tensor read = scope.matrix(Memory.BASE, DType.F32, 7, 3, 5);
        try (SafetensorsFile file = open(Map.of("x", written))) {
            file.read("x", read);
        }
        assertThat(read.floats()).containsExactly(ramp(21));
    }

    @Test
    void longRowsPassOneByOne() {
        float[] values = ramp(5000 * 2000);
        Tensor written = scope.matrix(Memory.BASE, DType.F32, 5000, 2000, 2008).set(values);
        Tensor read = scope.matrix(Memory.BASE, DType.F32, 5000, 2000, 2002);
        try (SafetensorsFile file = open(Map.of("x", written))) {
            file.read("x", read);
        }
        assertThat(Arrays.equals(read.floats(), values)).isTrue();
    }

    @Test
    void largeTensorsPassInParts() {
        float[] values = ramp(3 * 700_001);
        Tensor written =
                scope.matrix(Memory.BASE, DType.F32, 3, 700_001, 700_004).set(values);
        Tensor wide = scope.tensor(Memory.BASE, DType.F32, 1, 1, 2_100_003).set(values);
        Tensor read = scope.matrix(Memory.BASE, DType.F32, 3, 700_001, 700_002);
        Tensor converted = scope.tensor(Memory.BASE, DType.BF16, 1, 1, 2_100_003);
        try (SafetensorsFile file = open(Map.of("x", written, "wide", wide))) {
            file.read("x", read);
            file.read("wide", converted);
        }
        assertThat(Arrays.equals(read.floats(), values)).isTrue();
        assertThat(converted.floats()[2_100_002]).isEqualTo(values[2_100_002]);
        assertThat(converted.floats()[1_048_577]).isEqualTo(values[1_048_577]);
    }

    @Test
    void emptyAndScalarTensorsAreLegal() throws IOException {
        String header = "{" + SafetensorsBytes.entry("none", "F32", "[0,4]", 0, 0) + ","
                + SafetensorsBytes.entry("one", "F32", "[]", 0, 4) + "}";
        Path path = SafetensorsBytes.write(directory, SafetensorsBytes.file(header, 4));
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            file.read("none", scope.tensor(Memory.BASE, DType.F32, 0, 4));
            Tensor one = scope.tensor(Memory.BASE, DType.F32, 1);
            file.read("one", one);
            assertThat(Float.floatToRawIntBits(one.floats()[0])).isEqualTo(0x03020100);
        }
    }

    @Test
    void tensorsAtOddPlacesAreRead() throws IOException {
        String header = "{" + SafetensorsBytes.entry("bytes", "U8", "[1]", 0, 1) + ","
                + SafetensorsBytes.entry("odd", "F32", "[2]", 1, 9) + "}";
        Path path = SafetensorsBytes.write(directory, SafetensorsBytes.file(header, 9));
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            Tensor odd = scope.tensor(Memory.BASE, DType.F64, 2);
            file.read("odd", odd);
            assertThat(odd.doubles()[0]).isEqualTo(Float.intBitsToFloat(0x04030201));
        }
    }

    @Test
    void wrongShapeOrNameIsRefused() {
        try (SafetensorsFile file = open(Map.of("x", scope.tensor(Memory.BASE, DType.F32, 2, 3)))) {
            assertThatThrownBy(() -> file.read("x", scope.tensor(Memory.BASE, DType.F32, 3, 2)))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessageContaining("'x' has the shape [2, 3], expected [3, 2]");
            assertThatThrownBy(() -> file.read("y", scope.tensor(Memory.BASE, DType.F32, 3, 2)))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessageContaining("no tensor 'y'");
        }
    }

    @Test
    void fileCutShortWhileOpenIsRefused() throws IOException {
        Tensor tensor = scope.tensor(Memory.BASE, DType.F32, 1000);
        Path path = directory.resolve("x.safetensors");
        SafetensorsWriter.write(path, Map.of("x", tensor), Map.of());
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
                channel.truncate(1000);
            }
            assertThatThrownBy(() -> file.read("x", tensor))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessageContaining("the file ends at byte 1000");
        }
        assertThatThrownBy(() -> SafetensorsFile.open(path)).isInstanceOf(SafetensorsException.class);
    }

    /** Three millions of values, read in place, as rows and through the staging buffer, of which two thirds are gone. */
    @Test
    void piecesOfAFileCutShortAreRefused() throws IOException {
        Path path = directory.resolve("x.safetensors");
        SafetensorsWriter.write(path, Map.of("x", scope.tensor(Memory.BASE, DType.F32, 1500, 2000)), Map.of());
        try (Context many = Context.cpu(4);
                Scope home = many.scope();
                SafetensorsFile file = SafetensorsFile.open(path)) {
            try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
                channel.truncate(4_000_000);
            }
            for (Tensor into : new Tensor[] {
                home.tensor(Memory.BASE, DType.F32, 1500, 2000),
                home.matrix(Memory.BASE, DType.F32, 1500, 2000, 2008),
                home.tensor(Memory.BASE, DType.BF16, 1500, 2000)
            }) {
                assertThatThrownBy(() -> file.read("x", into))
                        .isInstanceOf(SafetensorsException.class)
                        .hasMessageContaining(path.toString())
                        .hasMessageContaining("the file ends at byte 4000000");
            }
        }
    }

    /** In pieces of several threads as in one. */
    @Test
    void whatAContextPrefersConvertsItsNumbers() {
        try (Context many = Context.cpu(4);
                Scope home = many.scope();
                SafetensorsFile file = open(Map.of("x", scope.tensor(Memory.BASE, DType.F32, 1 << 18)))) {
            Tensor into = home.tensor(Memory.BASE, DType.BF16, 1 << 18);
            many.prefer("none");
            assertThatThrownBy(() -> file.read("x", into)).hasMessageContaining("no implementation serves among none");
            many.prefer("reference");
            file.read("x", into);
            many.prefer(null);
            file.read("x", into);
        }
        context.prefer("none");
        Tensor few = scope.tensor(Memory.BASE, DType.BF16, 4);
        try (SafetensorsFile file = open(Map.of("x", scope.tensor(Memory.BASE, DType.F32, 4)))) {
            assertThatThrownBy(() -> file.read("x", few)).hasMessageContaining("no implementation serves among none");
        }
    }

    /** Its memory is counted and not held, so that nothing may be written there. */
    @Test
    void aContextThatPlansReadsNothing() throws IOException {
        try (Context plan = Context.planning(2);
                Scope home = plan.scope()) {
            for (Tensor into : new Tensor[] {
                home.tensor(Memory.BASE, DType.F32, 600, 1000),
                home.tensor(Memory.BASE, DType.BF16, 600, 1000),
                home.matrix(Memory.BASE, DType.F32, 600, 1000, 1008)
            }) {
                TensorTransfer.ofFile().move(into, DType.F32, (buffer, at) -> {
                    throw new IOException("is read");
                });
            }
        }
    }

    /** The first piece that begins fails once another one is under way. */
    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void noPieceIsUnderWayWhenAReadHasFailed(DType dtype) {
        try (Context many = Context.cpu(4);
                Scope home = many.scope()) {
            AtomicInteger begun = new AtomicInteger();
            AtomicInteger ended = new AtomicInteger();
            CountDownLatch second = new CountDownLatch(1);
            Tensor into = home.tensor(Memory.BASE, dtype, 1 << 18);
            assertThatThrownBy(() -> TensorTransfer.ofFile().move(into, DType.F32, (buffer, at) -> {
                        try {
                            if (begun.incrementAndGet() == 1) {
                                second.await(2, TimeUnit.SECONDS);
                                throw new IOException("a piece");
                            }
                            second.countDown();
                            Thread.sleep(100);
                        } catch (InterruptedException e) {
                            throw new IllegalStateException(e);
                        }
                        if (ended.incrementAndGet() == 3) {
                            throw new IOException("a piece");
                        }
                    }))
                    .isInstanceOf(IOException.class)
                    .hasMessage("a piece")
                    .satisfies(failure -> assertThat(failure.getSuppressed()).hasSize(1));
            assertThat(begun).hasValue(4);
            assertThat(ended).hasValue(3);
        }
    }

    @Test
    void truncatedFilesAreRefused() throws IOException {
        byte[] bytes = Files.readAllBytes(Fixtures.path("ops/gradient_clip/above.safetensors"));
        for (int length = 0; length < bytes.length; length += 5) {
            Path path = SafetensorsBytes.write(directory, Arrays.copyOf(bytes, length));
            assertThatThrownBy(() -> SafetensorsFile.open(path)).isInstanceOf(SafetensorsException.class);
        }
    }

    @Test
    void closedOrMissingFileIsRefused() {
        Tensor tensor = scope.tensor(Memory.BASE, DType.F32, 1);
        SafetensorsFile file = open(Map.of("x", tensor));
        file.close();
        file.close();
        assertThatThrownBy(() -> file.read("x", tensor))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("is closed");
        assertThatThrownBy(() -> SafetensorsFile.open(directory.resolve("none")))
                .isInstanceOf(SafetensorsException.class)
                .hasMessageContaining("no such file");
    }

    private SafetensorsFile open(Map<String, Tensor> tensors) {
        Path path = directory.resolve("x.safetensors");
        SafetensorsWriter.write(path, tensors, Map.of());
        return SafetensorsFile.open(path);
    }

    /** Values that every float type holds exactly. */
    private static float[] ramp(int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (i % 255) - 127;
        }
        return values;
    }
}
