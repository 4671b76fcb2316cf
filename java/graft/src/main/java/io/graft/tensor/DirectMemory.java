package io.graft.tensor;

import io.graft.binding.Address;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.ShortBuffer;
import java.util.Arrays;
import java.util.List;

/** Which buffers of java.nio a tensor may look at, and where their memory is: from position to limit. */
final class DirectMemory {
    private DirectMemory() {}

    /** Address of the buffer's memory, which is exactly these elements'; refuses, in words, any other. */
    static long address(Buffer buffer, DType dtype, long[] shape) {
        require(buffer != null, "buffer is null");
        require(buffer.isDirect(), "%s is not direct, and the collector may move it", buffer);
        require(!buffer.isReadOnly(), "%s is read-only, and ops write to tensors", buffer);
        Layout layout = layout(buffer);
        require(List.of(layout.types()).contains(dtype), "%s holds no %s", buffer, dtype);
        require(
                dtype.bytes() == 1 || layout.order() == ByteOrder.nativeOrder(),
                "%s is in the order %s, not in the machine's, %s",
                buffer,
                layout.order(),
                ByteOrder.nativeOrder());
        long address = Address.ofElement0(buffer) + (long) buffer.position() * layout.bytes();
        long bytes = (long) buffer.remaining() * layout.bytes();
        long wanted = Math.multiplyExact(Shapes.elements(shape), dtype.bytes());
        require(bytes == wanted, "%s has %d bytes, %s %s %d", buffer, bytes, Arrays.toString(shape), dtype, wanted);
        require(address % dtype.bytes() == 0, "%s begins on no multiple of %d bytes", buffer, dtype.bytes());
        return address;
    }

    /** Bytes of an element, their order, and what they may be. */
    private record Layout(int bytes, ByteOrder order, DType... types) {}

    private static Layout layout(Buffer buffer) {
        if (buffer instanceof ByteBuffer b) {
            return new Layout(Byte.BYTES, b.order(), DType.values());
        } else if (buffer instanceof ShortBuffer b) {
            return new Layout(Short.BYTES, b.order(), DType.BF16, DType.F16);
        } else if (buffer instanceof IntBuffer b) {
            return new Layout(Integer.BYTES, b.order(), DType.I32);
        } else if (buffer instanceof LongBuffer b) {
            return new Layout(Long.BYTES, b.order(), DType.I64);
        } else if (buffer instanceof FloatBuffer b) {
            return new Layout(Float.BYTES, b.order(), DType.F32);
        } else if (buffer instanceof DoubleBuffer b) {
            return new Layout(Double.BYTES, b.order(), DType.F64);
        }
        throw new IllegalArgumentException("wrap: " + buffer + " is of no element type of tensors");
    }

    private static void require(boolean condition, String text, Object... values) {
        if (!condition) {
            throw new IllegalArgumentException("wrap: " + String.format(text, values));
        }
    }
}
