package io.graft.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.binding.GraftArgumentException;
import io.graft.ops.TensorOps;
import java.lang.ref.WeakReference;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.CharBuffer;
import java.nio.FloatBuffer;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Tensors over memory of others: buffers of java.nio, and addresses with what holds their memory. */
class WrapTest extends InContext {
    private static ByteBuffer direct(int bytes) {
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
    }

    @Test
    void buffersOfBytesAndOfFloatsAreTheTensorsMemory() {
        ByteBuffer bytes = direct(24);
        FloatBuffer floats = bytes.asFloatBuffer();
        Tensor x = scope.wrap(bytes, DType.F32, 2, 3);
        Tensor same = scope.wrap(floats, DType.F32, 6);
        floats.put(4, 7);
        assertThat(x.floats()).containsExactly(0, 0, 0, 0, 7, 0);
        TensorOps.fill(context, 3, x);
        assertThat(floats.get(0)).isEqualTo(3);
        assertThat(same.address()).isEqualTo(x.address());
        assertThat(context.memory()).as("not Graft's").isZero();
    }

    @Test
    void everyKindOfBufferServesItsTypes() {
        ByteBuffer memory = direct(16);
        assertThat(scope.wrap(memory.putDouble(0, 2.5), DType.F64, 2).doubles()).containsExactly(2.5, 0);
        assertThat(scope.wrap(memory.asDoubleBuffer(), DType.F64, 2).doubles()).containsExactly(2.5, 0);
        assertThat(scope.wrap(memory.putLong(8, 9), DType.I64, 2).longs()[1]).isEqualTo(9);
        assertThat(scope.wrap(memory.asLongBuffer(), DType.I64, 2).longs()[1]).isEqualTo(9);
        assertThat(scope.wrap(memory.asIntBuffer(), DType.I32, 4).ints()[2]).isEqualTo(9);
        memory.putShort(0, (short) (Float.floatToIntBits(1.5f) >> 16));
        assertThat(scope.wrap(memory.asShortBuffer(), DType.BF16, 8).floats()[0])
                .isEqualTo(1.5f);
        assertThat(scope.wrap(memory.order(ByteOrder.BIG_ENDIAN), DType.U8, 16).ints()[8])
                .as("bytes have no order")
                .isEqualTo(9);
    }

    @Test
    void theMemoryIsFromPositionToLimitAndStaysWhereTheBufferMoves() {
        FloatBuffer floats = direct(64).asFloatBuffer();
        for (int i = 0; i < 16; i++) {
            floats.put(i, i);
        }
        Tensor x = scope.wrap(floats.position(3).limit(7), DType.F32, 4);
        floats.clear();
        assertThat(x.floats()).containsExactly(3, 4, 5, 6);
        FloatBuffer slice = floats.position(5).slice();
        assertThat(scope.wrap(slice.position(2).limit(4), DType.F32, 2).floats())
                .containsExactly(7, 8);
        assertThat(scope.wrap(slice.limit(2), DType.F32, 0, 4).floats()).isEmpty();
    }

    @Test
    void otherBuffersAreRefusedInWords() {
        ByteBuffer nine = direct(9);
        refused(ByteBuffer.allocate(8), "not direct");
        refused(direct(8).asReadOnlyBuffer(), "read-only");
        refused(ByteBuffer.allocateDirect(8).order(ByteOrder.BIG_ENDIAN), "BIG_ENDIAN");
        refused(direct(8).order(ByteOrder.BIG_ENDIAN).asFloatBuffer(), "BIG_ENDIAN");
        refused(direct(12), "has 12 bytes, [2] F32 8");
        refused(direct(4), "has 4 bytes");
        refused(nine.position(1), "no multiple of 4");
        refused(direct(16).asDoubleBuffer(), "holds no F32");
        refused(direct(8).asIntBuffer(), "holds no F32");
        refused(CharBuffer.allocate(4), "not direct");
        refused(direct(8).asCharBuffer(), "no element type");
        refused(null, "null");
        assertThatThrownBy(() -> scope.wrap(direct(16), DType.F32, -2, -2)).isInstanceOf(GraftArgumentException.class);
    }

    private void refused(Buffer buffer, String reason) {
        assertThatThrownBy(() -> scope.wrap(buffer, DType.F32, 2))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("wrap: ")
                .hasMessageContaining(reason);
    }

    @Test
    void whatHoldsTheMemoryLivesAsLongAsTheTensor() throws InterruptedException {
        List<Consumer<Scope>> wraps = List.of(
                inner -> inner.wrap(remember(direct(1 << 16)), DType.U8, 1 << 16),
                inner -> inner.wrap(1 << 12, remember(new Object()), DType.U8, 1));
        for (Consumer<Scope> wrap : wraps) {
            Scope inner = scope.scope();
            wrap.accept(inner);
            assertThat(collected()).isFalse();
            inner.close();
            assertThat(collected()).isTrue();
        }
    }

    private WeakReference<Object> held;

    private <T> T remember(T object) {
        held = new WeakReference<>(object);
        return object;
    }

    private boolean collected() throws InterruptedException {
        for (int i = 0; i < 10 && held.get() != null; i++) {
            System.gc();
            Thread.sleep(1);
        }
        return held.get() == null;
    }
}
