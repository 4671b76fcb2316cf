package io.graft.io;

import io.graft.tensor.DType;
import io.graft.tensor.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;

/**
 * A safetensors file, opened for reading.
 *
 * <p>Opening checks the whole header, so that what is open is sound. Tensors are then read straight from the file into
 * the memory of their tensor.
 *
 * <p>The file is not mapped into memory. why: touching a mapped page of a file that somebody has cut short kills the
 * process, and no check beforehand can rule that out; a read of such a file fails with a
 * {@link SafetensorsException}. Mapped files would also count against JavaCPP's memory limit.
 *
 * <p>One caller at a time reads, by as many threads as pay; others wait.
 */
public final class SafetensorsFile implements TensorSource {
    private final String file;
    private final FileChannel channel;
    private final SafetensorsHeader header;
    private final long dataStart;
    private final TensorTransfer transfer;

    private SafetensorsFile(
            String file, FileChannel channel, SafetensorsHeader header, long dataStart, TensorTransfer transfer) {
        this.file = file;
        this.channel = channel;
        this.header = header;
        this.dataStart = dataStart;
        this.transfer = transfer;
    }

    /**
     * Opens a file and checks its header.
     *
     * @throws SafetensorsException if there is no such file, it cannot be read, or it violates the format
     */
    public static SafetensorsFile open(Path path) {
        return open(path, TensorTransfer.ofFile());
    }

    /** As {@link #open(Path)}, with the staging buffer of other files. */
    static SafetensorsFile open(Path path, TensorTransfer transfer) {
        String file = path.toString();
        try {
            FileChannel channel = FileChannel.open(path, StandardOpenOption.READ);
            try {
                return open(file, channel, transfer);
            } catch (IOException | RuntimeException e) {
                channel.close();
                throw e;
            }
        } catch (NoSuchFileException e) {
            throw new SafetensorsException(file, "no such file", e);
        } catch (IOException e) {
            throw new SafetensorsException(file, "cannot be read: " + e, e);
        }
    }

    private static SafetensorsFile open(String file, FileChannel channel, TensorTransfer transfer) throws IOException {
        long size = channel.size();
        if (size < Long.BYTES) {
            throw new SafetensorsException(file, "only " + size + " bytes, too short for a header");
        }
        ByteBuffer prefix = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        readFully(file, channel, prefix, 0);
        int length = SafetensorsHeader.checkLength(file, prefix.getLong(0), size);
        ByteBuffer bytes = ByteBuffer.allocate(length);
        readFully(file, channel, bytes, Long.BYTES);
        long dataStart = (long) Long.BYTES + length;
        SafetensorsHeader header = SafetensorsHeader.parse(file, bytes.flip(), size - dataStart);
        return new SafetensorsFile(file, channel, header, dataStart, transfer);
    }

    @Override
    public Set<String> names() {
        return header.entries().keySet();
    }

    @Override
    public DType dtype(String name) {
        SafetensorsHeader.Entry entry = entry(name);
        DType dtype = entry.type().dtype();
        if (dtype == null) {
            throw new SafetensorsException(
                    file, "tensor '" + name + "' has the dtype " + entry.type() + ", which Graft does not read");
        }
        return dtype;
    }

    @Override
    public long[] shape(String name) {
        return entry(name).shape().clone();
    }

    @Override
    public Map<String, String> metadata() {
        return header.metadata();
    }

    @Override
    public synchronized void read(String name, Tensor into) {
        DType dtype = dtype(name);
        SafetensorsHeader.Entry entry = entry(name);
        if (!fits(entry.shape(), into.shape())) {
            throw new SafetensorsException(
                    file,
                    "tensor '" + name + "' has the shape " + Arrays.toString(entry.shape()) + ", expected "
                            + Arrays.toString(into.shape()));
        }
        if (dtype.isFloat() != into.dtype().isFloat()) {
            throw new SafetensorsException(
                    file, "tensor '" + name + "' has the dtype " + dtype + ", which does not become " + into.dtype());
        }
        read(name, entry, dtype, into);
    }

    /** How the file holds a tensor, also of a type that Graft does not read. */
    StoredTensor stored(String name) {
        SafetensorsHeader.Entry entry = entry(name);
        return new StoredTensor(name, entry.type(), entry.shape());
    }

    /** Fills {@code into} [bytes], U8, with what the file has for a tensor of any type. */
    synchronized void readBytes(String name, Tensor into) {
        read(name, entry(name), DType.U8, into);
    }

    private void read(String name, SafetensorsHeader.Entry entry, DType dtype, Tensor into) {
        try {
            long start = dataStart + entry.begin();
            transfer.move(into, dtype, (buffer, at) -> readFully(file, channel, buffer, start + at));
        } catch (ClosedChannelException e) {
            throw new IllegalStateException("SafetensorsFile " + file + " is closed", e);
        } catch (IOException e) {
            throw new SafetensorsException(file, "tensor '" + name + "' cannot be read: " + e, e);
        }
    }

    /** Closes the file; idempotent. Names and shapes stay readable. */
    @Override
    public synchronized void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw new SafetensorsException(file, "cannot be closed: " + e, e);
        }
    }

    @Override
    public String toString() {
        return "SafetensorsFile[" + file + ", " + names().size() + " tensors]";
    }

    private SafetensorsHeader.Entry entry(String name) {
        SafetensorsHeader.Entry entry = header.entries().get(name);
        if (entry == null) {
            throw new SafetensorsException(file, "no tensor '" + name + "'");
        }
        return entry;
    }

    /** A scalar also fits the shape [1]. */
    static boolean fits(long[] inFile, long[] wanted) {
        return Arrays.equals(inFile, wanted) || inFile.length == 0 && wanted.length == 1 && wanted[0] == 1;
    }

    private static void readFully(String file, FileChannel channel, ByteBuffer buffer, long position)
            throws IOException {
        long at = position;
        while (buffer.hasRemaining()) {
            int count = channel.read(buffer, at);
            if (count < 0) {
                throw new SafetensorsException(
                        file,
                        "the file ends at byte " + channel.size() + ": it has been cut short since it was opened");
            }
            at += count;
        }
    }
}
