package io.graft.io;

import io.graft.tensor.DType;
import io.graft.tensor.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * Writes the weights of a model's directory a tensor at a time, of which none stays in memory: what the files will hold is
 * said first, so that each tensor has its place. Tensors come in any order; files are cut and named as transformers'
 * {@code save_pretrained} does.
 */
public final class CheckpointWriter implements AutoCloseable {
    /** The size of a file that transformers (5.18) starts a new one behind. */
    public static final long DEFAULT_FILE_BYTES = 50_000_000_000L;

    private record Place(Shard shard, StoredTensor tensor, long offset) {}

    /** A file that is being written. */
    private static final class Shard {
        private final Path path;
        private FileChannel channel;
        private int missing;

        Shard(Path path) {
            this.path = path;
        }
    }

    private final Path directory;
    private final Map<String, Place> places = new LinkedHashMap<>();
    private final Map<String, String> files = new LinkedHashMap<>();
    private final List<Shard> shards = new ArrayList<>();
    private final UnaryOperator<String> naming;
    private final TensorTransfer transfer = new TensorTransfer(false);
    private long bytes;

    /**
     * Makes the files with their headers.
     *
     * @param directory where they go, an empty directory
     * @param tensors all that will be written, in the order by which they are cut into files
     * @param fileBytes a file has no more bytes of tensors, unless a tensor alone has
     * @throws UncheckedIOException if the disk has too little space, or a file cannot be written
     */
    public CheckpointWriter(Path directory, List<StoredTensor> tensors, long fileBytes) {
        this(directory, tensors, fileBytes, UnaryOperator.identity());
    }

    /** @param naming gives the name in the file for that of a tensor */
    public CheckpointWriter(Path directory, List<StoredTensor> tensors, long fileBytes, UnaryOperator<String> naming) {
        this.directory = directory;
        this.naming = naming;
        for (StoredTensor tensor : tensors) {
            bytes = Math.addExact(bytes, tensor.bytes());
        }
        expectSpace(directory, bytes);
        List<List<StoredTensor>> cut = cut(tensors, fileBytes);
        try {
            for (int i = 0; i < cut.size(); i++) {
                open(ShardIndex.name(i, cut.size()), SafetensorsWriter.ordered(cut.get(i)));
            }
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** The tensors of each file: in turn, the next file when one would grow over the limit; larger ones by themselves. */
    static List<List<StoredTensor>> cut(List<StoredTensor> tensors, long fileBytes) {
        List<List<StoredTensor>> files = new ArrayList<>();
        List<StoredTensor> current = new ArrayList<>();
        long size = 0;
        for (StoredTensor tensor : tensors) {
            if (tensor.bytes() > fileBytes) {
                files.add(List.of(tensor));
                continue;
            }
            if (size + tensor.bytes() > fileBytes) {
                files.add(current);
                current = new ArrayList<>();
                size = 0;
            }
            current.add(tensor);
            size += tensor.bytes();
        }
        if (!current.isEmpty()) {
            files.add(current);
        }
        return files;
    }

    /** why: a disk that is full is better known before hours of work than after them. */
    static void expectSpace(Path directory, long bytes) {
        try {
            long free = Files.getFileStore(directory).getUsableSpace();
            if (free < bytes) {
                throw new IOException("it needs " + bytes + " bytes, and the disk has " + free + " left");
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write a model into " + directory + ": " + e.getMessage(), e);
        }
    }

    private void open(String name, List<StoredTensor> tensors) {
        Shard shard = new Shard(directory.resolve(name));
        shards.add(shard);
        try {
            shard.channel = FileChannel.open(shard.path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
            ByteBuffer header = SafetensorsWriter.header(named(tensors), SafetensorsWriter.PYTORCH);
            long offset = header.remaining();
            put(shard, header, 0);
            for (StoredTensor tensor : tensors) {
                if (places.put(tensor.name(), new Place(shard, tensor, offset)) != null) {
                    throw new IllegalArgumentException("two tensors are called " + tensor.name());
                }
                files.put(naming.apply(tensor.name()), name);
                offset += tensor.bytes();
            }
            shard.missing = tensors.size();
        } catch (IOException e) {
            throw failed(shard, e);
        }
    }

    private List<StoredTensor> named(List<StoredTensor> tensors) {
        return tensors.stream()
                .map(tensor -> new StoredTensor(naming.apply(tensor.name()), tensor.type(), tensor.shape()))
                .toList();
    }

    /** How a tensor is stored. */
    public DType dtype(String name) {
        return place(name).tensor().dtype();
    }

    /** Writes a tensor, rounded to the type that its file has for it. */
    public void write(String name, Tensor value) {
        Place place = place(name);
        if (!Arrays.equals(value.shape(), place.tensor().shape())) {
            throw new IllegalArgumentException("write: " + name + " has the shape " + Arrays.toString(value.shape())
                    + ", announced was " + Arrays.toString(place.tensor().shape()));
        }
        write(place, place.tensor().dtype(), value);
    }

    /** Writes a tensor of any type, whose bytes are U8 [{@link StoredTensor#bytes}]. */
    public void writeBytes(String name, Tensor bytes) {
        Place place = place(name);
        if (bytes.elements() != place.tensor().bytes()) {
            throw new IllegalArgumentException("writeBytes: " + name + " comes with " + bytes.elements()
                    + " bytes, announced were " + place.tensor().bytes());
        }
        write(place, DType.U8, bytes);
    }

    private void write(Place place, DType dtype, Tensor value) {
        places.remove(place.tensor().name());
        Shard shard = place.shard();
        try {
            transfer.move(value, dtype, (buffer, at) -> put(shard, buffer, place.offset() + at));
            shard.missing--;
            if (shard.missing == 0) {
                shard.channel.close();
            }
        } catch (IOException e) {
            throw failed(shard, e);
        }
    }

    private Place place(String name) {
        Place place = places.get(name);
        if (place == null) {
            throw new IllegalArgumentException("write: " + name + " was not announced, or is written already");
        }
        return place;
    }

    /**
     * Writes the index, where there are several files, and {@code config.json}.
     *
     * @param config null for none
     * @throws IllegalStateException if a tensor that was announced has not been written
     */
    public void finish(String config) {
        if (!places.isEmpty()) {
            throw new IllegalStateException(
                    "finish: " + places.keySet().iterator().next() + " has not been written");
        }
        if (shards.size() > 1) {
            ShardIndex.write(directory, files, bytes);
        }
        if (config != null) {
            AtomicFiles.write(directory.resolve("config.json"), config);
        }
    }

    /** How many files there are. */
    public int files() {
        return shards.size();
    }

    /** How many bytes the tensors take. */
    public long bytes() {
        return bytes;
    }

    @Override
    public void close() {
        for (Shard shard : shards) {
            try {
                if (shard.channel != null) {
                    shard.channel.close();
                }
            } catch (IOException e) {
                throw failed(shard, e);
            }
        }
    }

    private static void put(Shard shard, ByteBuffer buffer, long position) throws IOException {
        long at = position;
        while (buffer.hasRemaining()) {
            at += shard.channel.write(buffer, at);
        }
    }

    private static UncheckedIOException failed(Shard shard, IOException e) {
        return new UncheckedIOException("cannot write " + shard.path + ": " + e.getMessage(), e);
    }
}
