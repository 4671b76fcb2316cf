package io.graft.io;

import io.graft.io.Pickle.Sequence;
import io.graft.io.TorchObjects.Storage;
import io.graft.io.TorchObjects.TorchTensor;
import io.graft.tensor.DType;
import io.graft.tensor.Tensor;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ReadableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.Enumeration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;

/**
 * The tensors of a file that {@code torch.save} made (a zip file with a pickle, PyTorch 1.6 and newer), read without Python and
 * without running what the pickle says ({@link Pickle}). Names are the keys of its dictionaries and the numbers of its lists,
 * joined by dots. A pair of a table and U8 codes, as SketchTune (arXiv 2410.06364) stores layer M, becomes
 * {@code M.quant_grid} and {@code M.weight_codes}, see {@link CodedWeights}. What is no tensor is left out.
 */
public final class TorchFile implements TensorSource {
    private static final int LARGEST_PICKLE = 64 << 20;
    private static final int MOST_VALUES = 1 << 20;
    private static final int DEEPEST = 16;
    /** why: tied weights are twice in a dictionary and once in the file; a thousand names for one storage are no model. */
    private static final int MOST_SHARING = 4;

    private static final String PICKLE = "/data.pkl";

    private final String file;
    private final ZipFile zip;
    private final String root;
    private final Map<String, TorchTensor> tensors = new LinkedHashMap<>();
    private final TensorTransfer transfer = new TensorTransfer(true);
    private final long most;
    private int values;
    private long bytes;

    private TorchFile(Path path, ZipFile zip) throws IOException {
        this.file = path.toString();
        this.zip = zip;
        this.most = MOST_SHARING * Files.size(path);
        ZipEntry pickle = pickle();
        this.root = pickle.getName().substring(0, pickle.getName().length() - PICKLE.length());
        ZipEntry order = zip.getEntry(root + "/byteorder");
        if (order != null && !new String(bytes(order, 16), StandardCharsets.US_ASCII).equals("little")) {
            throw new FormatException(file, "its numbers are not little-endian");
        }
        collect("", Pickle.read(file, ByteBuffer.wrap(bytes(pickle, LARGEST_PICKLE))), 0);
        if (tensors.isEmpty()) {
            throw new FormatException(file, "holds no tensors");
        }
    }

    /**
     * Opens a file and reads its pickle.
     *
     * @throws FormatException if it is no such file, or its pickle wants anything but tensors, dictionaries, lists, texts and
     *     numbers
     */
    public static TorchFile open(Path path) {
        try {
            ZipFile zip = new ZipFile(path.toFile());
            try {
                return new TorchFile(path, zip);
            } catch (IOException | RuntimeException e) {
                zip.close();
                throw e;
            }
        } catch (ZipException e) {
            throw new FormatException(
                    path,
                    "is no zip file as torch.save makes them: " + e.getMessage() + "; bare pickles are not read",
                    e);
        } catch (IOException e) {
            throw new FormatException(path, "cannot be read: " + e, e);
        }
    }

    private ZipEntry pickle() {
        ZipEntry found = null;
        for (Enumeration<? extends ZipEntry> entries = zip.entries(); entries.hasMoreElements(); ) {
            ZipEntry entry = entries.nextElement();
            if (entry.getName().endsWith(PICKLE)) {
                if (found != null) {
                    throw new FormatException(file, "holds two pickles, " + found + " and " + entry);
                }
                found = entry;
            }
        }
        if (found == null) {
            throw new FormatException(file, "holds no data.pkl: torch.save did not make it");
        }
        return found;
    }

    /** why stored alone: an entry that unpacks can be thousands of times as large as the file. */
    private void expectStored(ZipEntry entry) {
        if (entry.getMethod() != ZipEntry.STORED || entry.getSize() != entry.getCompressedSize()) {
            throw new FormatException(file, "entry " + entry + " is compressed, which torch.save's are not");
        }
    }

    private byte[] bytes(ZipEntry entry, int most) throws IOException {
        expectStored(entry);
        if (entry.getSize() > most) {
            throw new FormatException(
                    file, "entry " + entry + " has " + entry.getSize() + " bytes, at most " + most + " are read");
        }
        try (InputStream in = zip.getInputStream(entry)) {
            return in.readNBytes(most);
        }
    }

    private void collect(String name, Object value, int depth) {
        if (depth > DEEPEST) {
            throw new FormatException(file, "dictionaries and lists are nested more than " + DEEPEST + " deep");
        }
        // why: a list may hold another a thousand times, and that a third.
        if (++values > MOST_VALUES) {
            throw new FormatException(file, "holds more than " + MOST_VALUES + " values");
        }
        if (value instanceof TorchTensor tensor) {
            add(name, tensor);
        } else if (value instanceof Map<?, ?> map) {
            map.forEach((key, each) -> collect(joined(name, key), each, depth + 1));
        } else if (value instanceof Sequence list) {
            if (list.tuple() && sketch(list)) {
                add(joined(name, "quant_grid"), (TorchTensor) list.items().get(0));
                add(joined(name, "weight_codes"), (TorchTensor) list.items().get(1));
                return;
            }
            for (int i = 0; i < list.items().size(); i++) {
                collect(joined(name, i), list.items().get(i), depth + 1);
            }
        }
    }

    private static boolean sketch(Sequence pair) {
        return pair.items().size() == 2
                && pair.items().get(0) instanceof TorchTensor grid
                && pair.items().get(1) instanceof TorchTensor codes
                && grid.storage().type().name().contains("F")
                && codes.storage().type() == SafetensorsType.U8;
    }

    private static String joined(String name, Object key) {
        return name.isEmpty() ? String.valueOf(key) : name + "." + key;
    }

    private void add(String name, TorchTensor tensor) {
        if (name.length() > TorchObjects.LONGEST_NAME) {
            throw new FormatException(file, "the name of a tensor has " + name.length() + " characters");
        }
        String called = name.isEmpty() ? "tensor" : name;
        Storage storage = tensor.storage();
        ZipEntry entry = entry(called, storage);
        int width = storage.type().bits() / 8;
        if (storage.elements() > Long.MAX_VALUE / 8 || entry.getSize() != storage.elements() * width) {
            throw new FormatException(
                    file,
                    "tensor '" + called + "': entry " + entry + " has " + entry.getSize() + " bytes, and "
                            + storage.elements() + " elements of " + storage.type() + " are said");
        }
        bytes += tensor.elements() * width;
        if (bytes > most) {
            throw new FormatException(
                    file, "its tensors share storages so much that they take more than " + most + " bytes");
        }
        if (tensors.put(called, tensor) != null) {
            throw new FormatException(file, "two tensors are called '" + called + "'");
        }
    }

    private ZipEntry entry(String name, Storage storage) {
        ZipEntry entry = storage.key().length() > TorchObjects.LONGEST_NAME
                ? null
                : zip.getEntry(root + "/data/" + storage.key());
        if (entry == null) {
            throw new FormatException(file, "tensor '" + name + "': its storage is not in the file");
        }
        expectStored(entry);
        return entry;
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(tensors.keySet());
    }

    @Override
    public DType dtype(String name) {
        SafetensorsType type = tensor(name).storage().type();
        if (type.dtype() == null) {
            throw new SafetensorsException(
                    file, "tensor '" + name + "' has the dtype " + type + ", which Graft does not read");
        }
        return type.dtype();
    }

    @Override
    public long[] shape(String name) {
        return tensor(name).shape().clone();
    }

    @Override
    public Map<String, String> metadata() {
        return Map.of();
    }

    @Override
    public void read(String name, Tensor into) {
        TorchTensor tensor = tensor(name);
        DType dtype = dtype(name);
        if (!SafetensorsFile.fits(tensor.shape(), into.shape())) {
            throw new SafetensorsException(
                    file,
                    "tensor '" + name + "' has the shape " + Arrays.toString(tensor.shape()) + ", expected "
                            + Arrays.toString(into.shape()));
        }
        if (dtype.isFloat() != into.dtype().isFloat()) {
            throw new SafetensorsException(
                    file, "tensor '" + name + "' has the dtype " + dtype + ", which does not become " + into.dtype());
        }
        try (DataInputStream in = new DataInputStream(zip.getInputStream(entry(name, tensor.storage())))) {
            if (tensor.contiguous()) {
                in.skipNBytes(tensor.offset() * dtype.bytes());
                transfer.move(into, dtype, (buffer, at) -> fill(in, buffer));
            } else {
                byte[] all = whole(name, tensor, in);
                ByteBuffer rowMajor = ByteBuffer.wrap(gathered(tensor, dtype.bytes(), all));
                transfer.move(into, dtype, (buffer, at) -> {
                    int length = buffer.remaining();
                    buffer.put(rowMajor.slice(rowMajor.position(), length));
                    rowMajor.position(rowMajor.position() + length);
                });
            }
        } catch (EOFException e) {
            throw new SafetensorsException(file, "tensor '" + name + "': its storage ends early", e);
        } catch (IOException e) {
            throw new SafetensorsException(file, "tensor '" + name + "' cannot be read: " + e, e);
        }
    }

    private static void fill(InputStream in, ByteBuffer buffer) throws IOException {
        ReadableByteChannel channel = Channels.newChannel(in);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer) < 0) {
                throw new EOFException();
            }
        }
    }

    private byte[] whole(String name, TorchTensor tensor, DataInputStream in) throws IOException {
        long bytes = tensor.storage().elements() * tensor.storage().type().bits() / 8;
        if (bytes > Integer.MAX_VALUE - 8) {
            throw new SafetensorsException(
                    file,
                    "tensor '" + name + "' does not lie row by row in its storage, and that has " + bytes + " bytes");
        }
        byte[] all = new byte[(int) bytes];
        in.readFully(all);
        return all;
    }

    /** The elements in row-major order. */
    private static byte[] gathered(TorchTensor tensor, int width, byte[] all) {
        byte[] result = new byte[(int) tensor.elements() * width];
        long[] shape = tensor.shape();
        long[] index = new long[shape.length];
        for (int to = 0; to < result.length; to += width) {
            long from = tensor.offset();
            for (int i = 0; i < shape.length; i++) {
                from += index[i] * tensor.strides()[i];
            }
            System.arraycopy(all, (int) from * width, result, to, width);
            for (int i = shape.length - 1; i >= 0 && ++index[i] == shape[i]; i--) {
                index[i] = 0;
            }
        }
        return result;
    }

    private TorchTensor tensor(String name) {
        TorchTensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new SafetensorsException(file, "no tensor '" + name + "'");
        }
        return tensor;
    }

    /** Closes the file; idempotent. */
    @Override
    public void close() {
        try {
            zip.close();
        } catch (IOException e) {
            throw new FormatException(file, "cannot be closed: " + e, e);
        }
    }

    @Override
    public String toString() {
        return "TorchFile[" + file + ", " + tensors.size() + " tensors]";
    }
}
