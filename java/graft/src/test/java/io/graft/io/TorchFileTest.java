package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.zip.ZipEntry;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Files that PyTorch 2.13 wrote have the same numbers as safetensors; those that want more than tensors are refused. */
@Timeout(60)
class TorchFileTest {
    @TempDir
    Path folder;

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    private static byte[] bytes(Scope scope, TensorSource source, String name) {
        long[] shape = source.shape(name);
        Tensor value = scope.tensor(Memory.WORKSPACE, source.dtype(name), shape.length == 0 ? new long[] {1} : shape);
        source.read(name, value);
        byte[] bytes = new byte[(int) (value.elements() * value.dtype().bytes())];
        if (bytes.length > 0) {
            value.buffer().get(bytes);
        }
        return bytes;
    }

    @ParameterizedTest
    @CsvSource({
        "mixed.pt,mixed.safetensors",
        "mixed_protocol4.pt,mixed.safetensors",
        "sketch_base.pkl,sketch_base.safetensors"
    })
    void theSameNumbersAsSafetensors(String torch, String safetensors) {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                TorchFile file = TorchFile.open(Fixtures.path("torch/" + torch));
                SafetensorsFile expected = SafetensorsFile.open(Fixtures.path("torch/" + safetensors))) {
            assertThat(file.names()).containsExactlyInAnyOrderElementsOf(expected.names());
            for (String name : expected.names()) {
                assertThat(file.dtype(name)).as(name).isEqualTo(expected.dtype(name));
                assertThat(bytes(scope, file, name)).as(name).isEqualTo(bytes(scope, expected, name));
            }
        }
    }

    @Test
    void typesAndStridesOfTheReaderMayDiffer() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                TorchFile file = TorchFile.open(Fixtures.path("torch/mixed.pt"))) {
            Tensor plain = scope.tensor(Memory.WORKSPACE, DType.F32, 8, 6);
            file.read("transposed", plain);
            Tensor pitched = scope.matrix(Memory.WORKSPACE, DType.F64, 8, 6, 9);
            file.read("transposed", pitched);
            assertThat(pitched.floats()).isEqualTo(plain.floats());
            assertThatThrownBy(() -> file.read("transposed", scope.tensor(Memory.WORKSPACE, DType.F32, 6, 8)))
                    .hasMessageContaining("'transposed' has the shape [8, 6], expected [6, 8]");
            assertThatThrownBy(() -> file.read("long", scope.tensor(Memory.WORKSPACE, DType.F32, 303)))
                    .hasMessageContaining("does not become");
            assertThatThrownBy(() -> file.dtype("none")).hasMessageContaining("no tensor 'none'");
        }
    }

    // Pickles by hand. S is a storage of 4 floats, "s" its key.
    private static final String STORAGE = "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0sX\3\0\0\0cpuK\4tQ";

    private static String tensor(String offset, String shape, String strides) {
        return "ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + offset + shape + strides
                + "\u0089ccollections\nOrderedDict\n)RtR";
    }

    private static String dictionary(String value) {
        return "\u0080\2}X\1\0\0\0a" + value + "s.";
    }

    /** A file as torch.save makes them, of a pickle whose characters are its bytes. */
    private Path file(String pickle) throws IOException {
        return zip(pickle.getBytes(StandardCharsets.ISO_8859_1), ZipEntry.STORED);
    }

    private Path zip(byte[] pickle, int method) throws IOException {
        Path path = folder.resolve("x.pt");
        try (OutputStream out = Files.newOutputStream(path)) {
            TorchZip.write(
                    out,
                    method,
                    "x/data.pkl",
                    pickle,
                    "x/data/s",
                    new byte[16],
                    "x/byteorder",
                    "little".getBytes(StandardCharsets.US_ASCII));
        }
        return path;
    }

    private void refused(String pickle, String... words) throws IOException {
        Path path = file(pickle);
        assertThatThrownBy(() -> TorchFile.open(path).close())
                .isInstanceOf(FormatException.class)
                .hasMessageStartingWith(path.toString())
                .hasMessageContainingAll(words);
    }

    @Test
    void whatIsRightByHandIsRead() throws IOException {
        try (TorchFile file = TorchFile.open(file(dictionary(tensor("K\0", "K\2K\2\u0086", "K\2K\1\u0086"))))) {
            assertThat(file.names()).containsExactly("a");
            assertThat(file.shape("a")).containsExactly(2, 2);
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "cos\nsystem\n(X\4\0\0\0echotR",
                "cposix\nsystem\n)R",
                "cbuiltins\neval\n)R",
                "c__builtin__\nexec\n)R",
                "ctorch\nload\n)R",
                "ctorch.storage\n_load_from_bytes\n)R",
                "ctorch.serialization\nload\n)R",
                "ccollections\nOrderedDict.fromkeys\n)R",
                "\u008c\2os\u008c\6system\u0093)R"
            })
    void functionsAreRefusedByName(String call) throws IOException {
        String[] lines = call.charAt(0) == 'c' ? call.substring(1).split("\n") : new String[] {"os", "system"};
        refused(dictionary(call), "names " + lines[0] + "." + lines[1] + ", which is not read");
    }

    @Test
    void otherOpcodesAreRefused() throws IOException {
        String others = "io\u0081\u0092P\u008202dlIFSVBC\u008e\u0096\u0097\u0098\u008f\u0090\u0091\u008b";
        for (char opcode : others.toCharArray()) {
            refused("\u0080\2" + opcode, String.format("the opcode 0x%02x", (int) opcode));
        }
    }

    @Test
    void tensorsOutsideOfTheirStorageAreRefused() throws IOException {
        refused(dictionary(tensor("K\0", "K\5\u0085", "K\1\u0085")), "[5]", "of 4 elements does not hold");
        refused(dictionary(tensor("K\3", "K\2\u0085", "K\1\u0085")), "from 3 on");
        refused(dictionary(tensor("K\0", "K\2\u0085", "K\4\u0085")), "strides [4]");
        refused(dictionary(tensor("J\u00ff\u00ff\u00ff\u00ff", "K\1\u0085", "K\1\u0085")), "from -1 on");
        refused(dictionary(tensor("K\3", "K\2\u0085", "J\u00ff\u00ff\u00ff\u00ff\u0085")), "strides [-1]");
        refused(dictionary(tensor("K\0", "J\u00ff\u00ff\u00ff\u00ff\u0085", "K\1\u0085")), "[-1]");
        refused(dictionary(tensor("K\0", "J\0\0\0\u0040\u0085", "K\0\u0085")), "[1073741824] with strides [0]");
        String huge = "\u008a\10\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f";
        refused(dictionary(tensor("K\0", huge + huge + "\u0086", "K\0K\0\u0086")), "does not hold");
        refused(dictionary(tensor(huge, "K\1\u0085", "K\1\u0085")), "does not hold");
        refused(dictionary(tensor("K\0", "K\1\u0085", "K\1K\1\u0086")), "1 sizes and 2 strides");
        refused(dictionary(tensor("K\0", "X\1\0\0\0a\u0085", "K\1\u0085")), "no integers");
        refused(dictionary(tensor("N", "K\1\u0085", "K\1\u0085")), "without a storage");
        String longer = STORAGE.replace("K\4t", "K\5t");
        String right = tensor("K\0", "K\2\u0085", "K\1\u0085");
        refused(dictionary(right.replace(STORAGE, longer)), "entry x/data/s has 16 bytes", "5 elements of F32");
        refused(dictionary(right.replace("X\1\0\0\0sX", "X\1\0\0\0tX")), "'a'", "its storage is not in the file");
        refused(dictionary(right.replace("X\1\0\0\0sX", "X\t\0\0\0../../etcX")), "its storage is not in the file");
        refused(dictionary(right.replace("cpuK\4t", "cpuK\4K\4t")), "persistent id that is no storage");
        refused(
                dictionary(right.replace("torch\nFloatStorage", "torch\nComplexFloatStorage")),
                "torch.ComplexFloatStorage");
    }

    @Test
    void brokenProgramsAreRefused() throws IOException {
        refused("\u0080\1", "protocol 1");
        refused("\u0080\2", "ends early");
        refused("", "ends early");
        refused("\u0080\2.", "a value that is not there");
        refused("\u0080\2N.", "holds no tensors");
        refused("\u0080\2t", "a mark that is not there");
        refused("\u0080\2N(s", "a value that is not there");
        refused("\u0080\2h\7", "value 7, which was not kept");
        refused("\u0080\2Na", "a value that is not there");
        refused("\u0080\2NNa", "appends to what is no list");
        refused("\u0080\2)Na", "appends to what is no list");
        refused("\u0080\2NNNs", "no dictionary");
        refused("\u0080\2}(Nu", "a key without a value");
        refused("\u0080\2}]Ns", "a key is no text");
        refused("\u0080\2NNR", "calls what is no function");
        refused("\u0080\2ccollections\nOrderedDict\nK\1\u0085R", "calls collections.OrderedDict with 1 arguments");
        refused("\u0080\2NNb", "attributes of what is no dictionary");
        refused("\u0080\2X\u00ff\u00ff\u00ff\u00ffabc", "a text of 4294967295 bytes, of which 3 are there");
        refused(
                "\u0080\2\u008d\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ffabc",
                "a text of 18446744073709551615 bytes");
        refused("\u0080\2X\2\0\0\0\u00ff\u00ff.", "not UTF-8");
        refused("\u0080\2\u008a\u00ff", "an integer of 255 bytes");
        refused("\u0080\2c" + "a".repeat(300) + "\nb\n", "a name of more than 256 bytes");
        refused("\u0080\2c" + "a".repeat(300), "a name of more than 256 bytes");
        refused("\u0080\2NQ", "persistent id that is no storage");
    }

    /** Lists that hold themselves, or each other a thousand times, end soon and in little memory. */
    @Test
    void valuesWithoutEndAreRefused() throws IOException {
        refused("\u0080\2]q\0h\0a.", "nested more than 16 deep");
        refused("\u0080\2]" + "(".repeat(100_000) + "t".repeat(100_000) + ".", "nested more than 16 deep");
        StringBuilder laughs = new StringBuilder("\u0080\2]q\0");
        for (int i = 1; i < 12; i++) {
            laughs.append("](")
                    .append(("h" + (char) (i - 1)).repeat(40))
                    .append("eq")
                    .append((char) i);
        }
        refused(laughs.append('.').toString(), "holds more than 1048576 values");
        StringBuilder shared = new StringBuilder("\u0080\2]" + tensor("K\0", "K\4\u0085", "K\1\u0085") + "q\0a");
        refused(shared.append("h\0a".repeat(1000)).append('.').toString(), "share storages");
    }

    @Test
    void otherFilesAreRefused() throws IOException {
        byte[] pickle = dictionary(tensor("K\0", "K\2\u0085", "K\1\u0085")).getBytes(StandardCharsets.ISO_8859_1);
        Path packed = zip(pickle, ZipEntry.DEFLATED);
        assertThatThrownBy(() -> TorchFile.open(packed)).hasMessageContaining("x/byteorder is compressed");
        Path bare = Files.write(folder.resolve("bare.pkl"), pickle);
        assertThatThrownBy(() -> TorchFile.open(bare)).hasMessageContaining("bare pickles are not read");
        assertThatThrownBy(() -> TorchFile.open(folder.resolve("none"))).isInstanceOf(FormatException.class);
        Path empty = folder.resolve("empty.pt");
        try (OutputStream out = Files.newOutputStream(empty)) {
            TorchZip.write(out, ZipEntry.STORED, "x/a", new byte[1]);
        }
        assertThatThrownBy(() -> TorchFile.open(empty)).hasMessageContaining("holds no data.pkl");
        try (OutputStream out = Files.newOutputStream(empty)) {
            TorchZip.write(out, ZipEntry.STORED, "x/data.pkl", pickle, "y/data.pkl", pickle);
        }
        assertThatThrownBy(() -> TorchFile.open(empty)).hasMessageContaining("holds two pickles");
        try (OutputStream out = Files.newOutputStream(empty)) {
            TorchZip.write(
                    out,
                    ZipEntry.STORED,
                    "x/data.pkl",
                    pickle,
                    "x/data/s",
                    new byte[16],
                    "x/byteorder",
                    "big".getBytes(StandardCharsets.US_ASCII));
        }
        assertThatThrownBy(() -> TorchFile.open(empty)).hasMessageContaining("not little-endian");
    }

    /** Any change of a good file is read or refused; more of them: -Dgraft.mutations. */
    @Test
    @Timeout(3600)
    void mutationsAreReadOrRefused() throws IOException {
        byte[] good = Files.readAllBytes(Fixtures.path("torch/mixed_protocol4.pt"));
        Path path = folder.resolve("mutant.pt");
        Random random = new Random(11);
        int refused = 0;
        int mutations = Integer.getInteger("graft.mutations", 500);
        try (Context context = Context.cpu(1)) {
            for (int i = 0; i < mutations; i++) {
                byte[] mutant = good.clone();
                // why here: most of the rest are numbers.
                for (int n = 1 + random.nextInt(4); n > 0; n--) {
                    int at = random.nextInt(8) > 0 ? random.nextInt(1500) : random.nextInt(mutant.length);
                    mutant[at] = (byte) (random.nextBoolean() ? random.nextInt(256) : mutant[random.nextInt(1500)]);
                }
                Files.deleteIfExists(path); // why: to write a file over may wait for the disk
                Files.write(path, mutant);
                try (TorchFile file = TorchFile.open(path);
                        Scope scope = context.scope()) {
                    for (String name : file.names()) {
                        bytes(scope, file, name);
                    }
                } catch (FormatException e) {
                    assertThat(e.getMessage()).startsWith(path.toString());
                    refused++;
                }
            }
        }
        assertThat(refused).isGreaterThan(mutations / 4);
    }
}
