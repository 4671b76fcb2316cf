package io.graft.io;

import io.graft.binding.Address;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.BytePointer;

/**
 * Moves a tensor between memory and a stream of bytes in row-major order.
 *
 * <p>Memory of the CPU and of the stream's own type is transferred in place, at once or row by row. Anything else passes
 * block by block through one small staging buffer, where the native copy converts types and gathers or scatters strides;
 * a whole second copy never exists. Files are read by several threads, each its piece of a block.
 */
final class TensorTransfer {
    /** Moves the bytes between the buffer's position and limit from or to a file, all of them. */
    interface Bytes {
        /** @param at how many bytes of the tensor are before them in the stream */
        void transfer(ByteBuffer buffer, long at) throws IOException;
    }

    private static final int STAGING_BYTES = 4 << 20;
    private static final int DIRECT_BYTES = 16 << 20;
    private static final int LONG_ROW_BYTES = 4 << 10;

    /** why: what one thread copies from the page cache, and what waking another one is worth. */
    private static final int MOST_THREADS = 8;

    private static final int PIECE_BYTES = 512 << 10;

    private final boolean reading;
    private final boolean anywhere;
    private ByteBuffer staging;

    /** A transfer into tensors ({@code reading}) or out of them, in the order of the stream. */
    TensorTransfer(boolean reading) {
        this(reading, false);
    }

    /** A transfer into tensors from a file that several threads may read at once, at any place. */
    static TensorTransfer ofFile() {
        return new TensorTransfer(true, true);
    }

    private TensorTransfer(boolean reading, boolean anywhere) {
        if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) {
            throw new UnsupportedOperationException("safetensors files need a little-endian machine");
        }
        this.reading = reading;
        this.anywhere = anywhere;
    }

    /** Moves the whole of {@code tensor}, whose elements have type {@code streamType} in the stream. */
    void move(Tensor tensor, DType streamType, Bytes bytes) throws IOException {
        if (tensor.elements() > 0) {
            move(tensor, streamType, bytes, 0);
        }
    }

    /** @param at where in the stream of the whole tensor this part of it begins */
    private void move(Tensor tensor, DType streamType, Bytes bytes, long at) throws IOException {
        long length = tensor.elements() * streamType.bytes();
        boolean inReach = tensor.dtype() == streamType
                && tensor.scope().context().device().isCpu();
        if (inReach && tensor.isContiguous()) {
            moveDirectly(tensor, length, bytes, at);
        } else if (inReach && hasLongRows(tensor)) {
            moveRows(tensor, bytes, at);
        } else if (length <= STAGING_BYTES) {
            moveStaged(tensor, streamType, (int) length, bytes, at);
        } else {
            moveParts(tensor, streamType, bytes, at);
        }
    }

    /** Splits the first dimension so that a part fits the staging buffer, or drops it where a single row does not. */
    private void moveParts(Tensor tensor, DType streamType, Bytes bytes, long at) throws IOException {
        long rows = tensor.size(0);
        long[] shape = tensor.shape();
        long[] strides = tensor.strides();
        long rowBytes = tensor.elements() / rows * streamType.bytes();
        boolean single = rowBytes > STAGING_BYTES;
        long step = single ? 1 : STAGING_BYTES / rowBytes;
        for (long from = 0; from < rows; from += step) {
            shape[0] = Math.min(step, rows - from);
            long[] partShape = single ? Arrays.copyOfRange(shape, 1, shape.length) : shape;
            long[] partStrides = single ? Arrays.copyOfRange(strides, 1, shape.length) : strides;
            try (Scope scope = tensor.scope().scope()) {
                Tensor part = scope.view(tensor, from * strides[0], partShape, partStrides);
                move(part, streamType, bytes, at + from * rowBytes);
            }
        }
    }

    private synchronized void moveStaged(Tensor tensor, DType streamType, int length, Bytes bytes, long at)
            throws IOException {
        if (staging == null || staging.capacity() < length) {
            staging = ByteBuffer.allocateDirect(length);
        }
        ByteBuffer buffer = staging.clear().limit(length);
        try (Scope scope = tensor.scope().context().host().scope();
                BytePointer pointer = new BytePointer(buffer)) {
            Tensor staged = scope.wrap(pointer.address(), streamType, tensor.shape());
            if (reading) {
                move(buffer, threads(tensor), bytes, at);
                tensor.upload(staged);
            } else {
                tensor.download(staged);
                bytes.transfer(buffer, at);
            }
        }
    }

    private void moveDirectly(Tensor tensor, long length, Bytes bytes, long at) throws IOException {
        int threads = threads(tensor);
        for (long from = 0; from < length; from += DIRECT_BYTES) {
            // why: the monitor keeps another thread from closing the tensor while its memory is in use here.
            synchronized (tensor.scope().context()) {
                ByteBuffer region = region(tensor.address() + from, Math.min(DIRECT_BYTES, length - from));
                move(region, threads, bytes, at + from);
            }
        }
    }

    /** Whether this is a matrix with a pitch whose rows are long enough that one call for each is cheap. */
    private static boolean hasLongRows(Tensor tensor) {
        return tensor.rank() == 2
                && tensor.size(1) * tensor.dtype().bytes() >= LONG_ROW_BYTES
                && tensor.stride(0) * tensor.dtype().bytes() <= DIRECT_BYTES;
    }

    private void moveRows(Tensor matrix, Bytes bytes, long at) throws IOException {
        int rowBytes = (int) (matrix.size(1) * matrix.dtype().bytes());
        int pitchBytes = (int) (matrix.stride(0) * matrix.dtype().bytes());
        long step = DIRECT_BYTES / pitchBytes;
        for (long from = 0; from < matrix.size(0); from += step) {
            int rows = (int) Math.min(step, matrix.size(0) - from);
            synchronized (matrix.scope().context()) {
                ByteBuffer region = region(matrix.address() + from * pitchBytes, (rows - 1L) * pitchBytes + rowBytes);
                long start = at + from * rowBytes;
                inPieces(rows, rowBytes, threads(matrix), (first, last) -> {
                    for (int row = first; row < last; row++) {
                        bytes.transfer(region.slice(row * pitchBytes, rowBytes), start + (long) row * rowBytes);
                    }
                });
            }
        }
    }

    /** Moves a whole buffer, by several threads where it is worth that. */
    private static void move(ByteBuffer buffer, int threads, Bytes bytes, long at) throws IOException {
        inPieces(
                buffer.remaining(),
                1,
                threads,
                (first, last) -> bytes.transfer(buffer.slice(first, last - first), at + first));
    }

    private int threads(Tensor tensor) {
        return anywhere ? Math.min(MOST_THREADS, tensor.scope().context().host().threads()) : 1;
    }

    /** What one thread does of so many units. */
    private interface Piece {
        void move(int first, int last) throws IOException;
    }

    /** Fails when all pieces have ended. why: who sees the failure may free the memory that they write into. */
    private static void inPieces(int count, int unitBytes, int threads, Piece piece) throws IOException {
        int pieces = (int) Math.max(1, Math.min(threads, (long) count * unitBytes / PIECE_BYTES));
        if (pieces == 1) {
            piece.move(0, count);
            return;
        }
        Queue<Throwable> failures = new ConcurrentLinkedQueue<>();
        IntStream.range(0, pieces).parallel().forEach(i -> {
            try {
                piece.move((int) ((long) i * count / pieces), (int) ((i + 1L) * count / pieces));
            } catch (IOException | RuntimeException | Error failure) {
                failures.add(failure);
            }
        });
        if (!failures.isEmpty()) {
            fail(failures);
        }
    }

    private static void fail(Queue<Throwable> failures) throws IOException {
        Throwable first = failures.remove();
        failures.stream().filter(other -> other != first).forEach(first::addSuppressed);
        if (first instanceof IOException e) {
            throw e;
        }
        if (first instanceof RuntimeException e) {
            throw e;
        }
        throw (Error) first;
    }

    private static ByteBuffer region(long address, long length) {
        // why: a BytePointer, since the length of a buffer counts elements of the pointer's own type.
        return new BytePointer(new Address(address)).capacity(length).asByteBuffer();
    }
}
