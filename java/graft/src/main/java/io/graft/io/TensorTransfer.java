package io.graft.io;

import io.graft.binding.Address;
import io.graft.tensor.Context;
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
 * <p>Memory of the CPU and of the stream's own type without gaps is transferred in place. Anything else passes piece by
 * piece through small staging buffers, where the native copy converts types and gathers or scatters strides; a whole second
 * copy never exists. Files are read by several threads, each of which converts what it has read while that is in its cache.
 * Into a context that plans nothing is read.
 */
final class TensorTransfer {
    /** Moves the bytes between the buffer's position and limit from or to a file, all of them. */
    interface Bytes {
        /** @param at how many bytes of the tensor are before them in the stream */
        void transfer(ByteBuffer buffer, long at) throws IOException;
    }

    private static final int DIRECT_BYTES = 16 << 20;

    /** why: a device takes long pieces faster; a thread has the short ones in its second cache. */
    private static final int DEVICE_STAGING_BYTES = 4 << 20;

    private static final int STAGING_BYTES = 256 << 10;

    private static final int MOST_THREADS = 8;

    /** why: what waking another thread is worth. */
    private static final int PIECE_BYTES = STAGING_BYTES;

    private final boolean reading;
    private final boolean anywhere;
    /** One for each piece that is under way. */
    private final ByteBuffer[] staging = new ByteBuffer[MOST_THREADS];

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
        if (reading && tensor.scope().context().isPlanning()) {
            return;
        }
        boolean onCpu = tensor.scope().context().device().isCpu();
        if (onCpu && tensor.dtype() == streamType && tensor.isContiguous()) {
            moveDirectly(tensor, tensor.elements() * streamType.bytes(), bytes, at);
            return;
        }
        if (tensor.rank() == 0) {
            try (Scope scope = tensor.scope().scope()) {
                move(scope.view(tensor, 0, new long[] {1}, new long[] {1}), streamType, bytes, at);
            }
            return;
        }
        long rowBytes = tensor.elements() / tensor.size(0) * streamType.bytes();
        if (rowBytes > (onCpu ? STAGING_BYTES : DEVICE_STAGING_BYTES)) {
            moveLongRows(tensor, rowBytes, streamType, bytes, at);
        } else if (onCpu) {
            moveConverted(tensor, (int) rowBytes, streamType, bytes, at);
        } else {
            moveToDevice(tensor, (int) rowBytes, streamType, bytes, at);
        }
    }

    /** One index of the first dimension after the other, each a tensor with one dimension less. */
    private void moveLongRows(Tensor tensor, long rowBytes, DType streamType, Bytes bytes, long at) throws IOException {
        long[] shape = Arrays.copyOfRange(tensor.shape(), 1, tensor.rank());
        long[] strides = Arrays.copyOfRange(tensor.strides(), 1, tensor.rank());
        for (long i = 0; i < tensor.size(0); i++) {
            try (Scope scope = tensor.scope().scope()) {
                move(scope.view(tensor, i * tensor.stride(0), shape, strides), streamType, bytes, at + i * rowBytes);
            }
        }
    }

    /** Rows of the CPU's memory, by several threads. */
    private synchronized void moveConverted(Tensor tensor, int rowBytes, DType streamType, Bytes bytes, long at)
            throws IOException {
        long rows = tensor.size(0);
        int step = (int) Math.min(rows, STAGING_BYTES / rowBytes);
        Context context = tensor.scope().context();
        String preferred = context.preferred();
        int threads = threads(tensor);
        for (int i = 0; i < pieces(rows, rowBytes, threads); i++) {
            reserve(i, step * rowBytes);
        }
        // why: the monitor keeps another thread from closing the tensor while its memory is in use here.
        synchronized (context) {
            long address = tensor.address();
            inPieces(rows, rowBytes, threads, (piece, first, last) -> {
                try (Context own = worker(preferred)) {
                    for (long from = first; from < last; from += step) {
                        int count = (int) Math.min(step, last - from);
                        ByteBuffer buffer = staging[piece].clear().limit(count * rowBytes);
                        try (Scope scope = own.scope()) {
                            Tensor rowsHere = rows(scope, tensor, address, from, count);
                            convert(scope, rowsHere, streamType, buffer, bytes, at + from * rowBytes);
                        }
                    }
                }
            });
        }
    }

    /** why a context of its own: one context serves one call at a time, and its threads would wait for the next. */
    private static Context worker(String preferred) {
        Context own = Context.cpu(1);
        own.prefer(preferred);
        return own;
    }

    /** The memory of some rows as a tensor of another context. */
    private static Tensor rows(Scope scope, Tensor tensor, long address, long from, long count) {
        long[] shape = tensor.shape();
        shape[0] = count;
        long extent = 1;
        for (int i = 0; i < shape.length; i++) {
            extent += (shape[i] - 1) * tensor.stride(i);
        }
        long start = address + from * tensor.stride(0) * tensor.dtype().bytes();
        return scope.view(scope.wrap(start, tensor.dtype(), extent), 0, shape, tensor.strides());
    }

    private void convert(Scope scope, Tensor part, DType streamType, ByteBuffer buffer, Bytes bytes, long at)
            throws IOException {
        try (BytePointer pointer = new BytePointer(buffer)) {
            Tensor staged = scope.wrap(pointer.address(), streamType, part.shape());
            if (reading) {
                bytes.transfer(buffer, at);
                part.upload(staged);
            } else {
                part.download(staged);
                bytes.transfer(buffer, at);
            }
        }
    }

    /** Rows of a device's memory, in turn. */
    private synchronized void moveToDevice(Tensor tensor, int rowBytes, DType streamType, Bytes bytes, long at)
            throws IOException {
        long step = Math.min(tensor.size(0), DEVICE_STAGING_BYTES / rowBytes);
        reserve(0, (int) step * rowBytes);
        for (long from = 0; from < tensor.size(0); from += step) {
            long last = Math.min(tensor.size(0), from + step);
            ByteBuffer buffer = staging[0].clear().limit((int) (last - from) * rowBytes);
            long start = at + from * rowBytes;
            try (Scope scope = tensor.scope().context().host().scope();
                    Scope parts = tensor.scope().scope();
                    BytePointer pointer = new BytePointer(buffer)) {
                long[] shape = tensor.shape();
                shape[0] = last - from;
                Tensor part = parts.view(tensor, from * tensor.stride(0), shape, tensor.strides());
                Tensor staged = scope.wrap(pointer.address(), streamType, shape);
                if (reading) {
                    move(buffer, threads(tensor), bytes, start);
                    part.upload(staged);
                } else {
                    part.download(staged);
                    bytes.transfer(buffer, start);
                }
            }
        }
    }

    private void reserve(int piece, int length) {
        if (staging[piece] == null || staging[piece].capacity() < length) {
            staging[piece] = ByteBuffer.allocateDirect(length);
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

    /** Moves a whole buffer, by several threads where it is worth that. */
    private static void move(ByteBuffer buffer, int threads, Bytes bytes, long at) throws IOException {
        inPieces(
                buffer.remaining(),
                1,
                threads,
                (piece, first, last) -> bytes.transfer(buffer.slice((int) first, (int) (last - first)), at + first));
    }

    private int threads(Tensor tensor) {
        return anywhere ? Math.min(MOST_THREADS, tensor.scope().context().host().threads()) : 1;
    }

    /** What one thread does of so many units. */
    private interface Piece {
        void move(int piece, long first, long last) throws IOException;
    }

    private static int pieces(long count, int unitBytes, int threads) {
        return (int) Math.max(1, Math.min(threads, count * unitBytes / PIECE_BYTES));
    }

    /** Fails when all pieces have ended. why: who sees the failure may free the memory that they write into. */
    private static void inPieces(long count, int unitBytes, int threads, Piece piece) throws IOException {
        int pieces = pieces(count, unitBytes, threads);
        if (pieces == 1) {
            piece.move(0, 0, count);
            return;
        }
        Queue<Throwable> failures = new ConcurrentLinkedQueue<>();
        IntStream.range(0, pieces).parallel().forEach(i -> {
            try {
                piece.move(i, i * count / pieces, (i + 1) * count / pieces);
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
