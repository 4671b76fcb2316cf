package io.graft.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.binding.GraftArgumentException;
import io.graft.binding.GraftException;
import io.graft.binding.GraftOutOfMemoryException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TensorTest {
    private Context context;
    private Scope scope;

    @BeforeEach
    void open() {
        context = Context.cpu(1);
        scope = context.scope();
    }

    @AfterEach
    void close() {
        context.close();
    }

    @Test
    void newTensorsAreZeroAndRowMajor() {
        Tensor x = scope.tensor(Memory.ACTIVATION, DType.F32, 2, 3);
        assertThat(x.floats()).containsOnly(0);
        assertThat(x.shape()).containsExactly(2, 3);
        assertThat(x.strides()).containsExactly(3, 1);
        assertThat(x.elements()).isEqualTo(6);
        assertThat(x.address() % 64).isZero();
        assertThat(x).hasToString("Tensor [2, 3] F32");
    }

    @Test
    void matricesHaveAPitch() {
        Tensor x = scope.matrix(Memory.ACTIVATION, DType.F32, 2, 3, 5).set(1, 2, 3, 4, 5, 6);
        assertThat(x.stride(0)).isEqualTo(5);
        assertThat(x.isContiguous()).isFalse();
        assertThat(x.floats()).containsExactly(1, 2, 3, 4, 5, 6);
        assertThatThrownBy(x::buffer).hasMessage("buffer: Tensor [2, 3] F32 is not contiguous");
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16", "F16", "F64"})
    void floatsConvertBothWays(DType dtype) {
        Tensor x = scope.matrix(Memory.ACTIVATION, dtype, 2, 2, 4);
        assertThat(x.set(1, -2.5f, 0.125f, 96).floats()).containsExactly(1, -2.5f, 0.125f, 96);
        assertThat(x.set(new double[] {3, 4, 5, 6}).doubles()).containsExactly(3, 4, 5, 6);
        assertThat(x.set(new int[] {3, 4, 5, -6}).floats()).containsExactly(3, 4, 5, -6);
        assertThat(x.set(new long[] {3, 4, 5, 7}).floats()).containsExactly(3, 4, 5, 7);
        assertThatThrownBy(x::ints).hasMessageContaining("holds floats");
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"I32", "I64", "U8"})
    void integersConvertBothWays(DType dtype) {
        Tensor x = scope.tensor(Memory.ACTIVATION, dtype, 3);
        assertThat(x.set(new int[] {0, 7, 255}).longs()).containsExactly(0, 7, 255);
        assertThat(x.set(new long[] {1, 2, 200}).ints()).containsExactly(1, 2, 200);
        assertThatThrownBy(() -> x.set(1.5f, 2, 3)).hasMessageContaining("holds integers");
        assertThatThrownBy(x::floats).hasMessageContaining("holds integers");
    }

    @Test
    void bfloat16RoundsToNearestEven() {
        Tensor x = scope.tensor(Memory.ACTIVATION, DType.BF16, 2);
        assertThat(x.set(1 + 1 / 256f, 1 + 3 / 256f).floats()).containsExactly(1, 1 + 4 / 256f);
    }

    @Test
    void theNumberOfValuesMustFit() {
        Tensor x = scope.tensor(Memory.ACTIVATION, DType.F32, 2, 3);
        assertThatThrownBy(() -> x.set(1, 2)).hasMessage("set: 2 values given for the 6 elements of Tensor [2, 3] F32");
    }

    @Test
    void viewsShareMemory() {
        Tensor x = scope.tensor(Memory.ACTIVATION, DType.F32, 3, 4);
        x.set(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
        assertThat(x.rows(1, 3).floats()).containsExactly(4, 5, 6, 7, 8, 9, 10, 11);
        assertThat(x.columns(1, 3).floats()).containsExactly(1, 2, 5, 6, 9, 10);
        assertThat(x.columns(2, 4).reshape(3, 2, 1).shape()).containsExactly(3, 2, 1);
        assertThat(x.reshape(2, 6).rows(1, 2).floats()).containsExactly(6, 7, 8, 9, 10, 11);
        assertThat(x.view(5, new long[] {2, 2}, new long[] {4, 1}).floats()).containsExactly(5, 6, 9, 10);
        x.columns(0, 1).set(-1, -2, -3);
        assertThat(x.floats()).containsExactly(-1, 1, 2, 3, -2, 5, 6, 7, -3, 9, 10, 11);
    }

    @Test
    void viewsOutsideTheirParentAreRefused() {
        Tensor x = scope.tensor(Memory.ACTIVATION, DType.F32, 3, 4);
        assertThatThrownBy(() -> x.rows(2, 4)).hasMessage("range 2..4 is outside dimension 0 of Tensor [3, 4] F32");
        assertThatThrownBy(() -> x.columns(-1, 2)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> x.view(5, new long[] {3, 4}, new long[] {4, 1}))
                .isInstanceOf(GraftException.class)
                .hasMessageStartingWith("graft_tensor_view: ");
        assertThatThrownBy(() -> x.view(0, new long[] {3, 4}, new long[] {1})).hasMessageContaining("strides");
        assertThatThrownBy(() -> x.columns(0, 2).reshape(6)).hasMessageContaining("without a copy");
        assertThatThrownBy(() -> x.reshape(5)).hasMessageContaining("cannot be seen as [5]");
    }

    @Test
    void useAfterCloseNamesTheTensor() {
        Tensor x = scope.tensor(Memory.ACTIVATION, DType.F32, 4, 8);
        x.close();
        x.close();
        assertThat(x.isClosed()).isTrue();
        assertThatThrownBy(x::floats)
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("Tensor [4, 8] F32 is closed");
        assertThatThrownBy(x::address).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(x::buffer).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> x.rows(0, 1)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> scope.weight(x)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void viewsAreClosedWithWhatHoldsTheirMemory() {
        Tensor x = scope.tensor(Memory.ACTIVATION, DType.F32, 4, 8);
        Tensor part = x.rows(0, 2).columns(0, 4);
        Weight weight = scope.weight(x);
        Tensor matrix = weight.matrix();
        x.close();
        assertThatThrownBy(part::floats).hasMessage("Tensor [4, 8] F32 is closed");
        assertThatThrownBy(matrix::floats).hasMessage("Tensor [4, 8] F32 is closed");
        assertThatThrownBy(() -> Weight.pointer(context, weight)).hasMessage("Tensor [4, 8] F32 is closed");
    }

    @Test
    void viewsMayLiveShorterThanTheirParent() {
        Tensor x = scope.tensor(Memory.ACTIVATION, DType.F32, 2, 2).set(1, 2, 3, 4);
        try (Scope step = scope.scope()) {
            Tensor part = step.view(x, 1, new long[] {2}, new long[] {1});
            assertThat(part.floats()).containsExactly(2, 3);
        }
        assertThat(x.floats()).containsExactly(1, 2, 3, 4);
    }

    @Test
    void tensorsOfAnotherContextAreRefused() {
        try (Context other = Context.cpu(1)) {
            Tensor x = other.scope().tensor(Memory.ACTIVATION, DType.F32, 4);
            assertThatThrownBy(() -> scope.view(x, 0, new long[] {1}, new long[] {1}))
                    .hasMessage("Tensor [4] F32 belongs to another context");
        }
    }

    @Test
    void buffersAndWrappedMemoryAreTheSameBytes() {
        ByteBuffer mine = ByteBuffer.allocateDirect(16).order(ByteOrder.nativeOrder());
        Tensor source = scope.tensor(Memory.ACTIVATION, DType.F32, 4).set(1, 2, 3, 4);
        Tensor alias = scope.wrap(source.address(), DType.F32, 2, 2);
        assertThat(alias.floats()).containsExactly(1, 2, 3, 4);
        source.buffer().putFloat(4, 9);
        assertThat(alias.floats()).containsExactly(1, 9, 3, 4);
        mine.put(alias.buffer());
        assertThat(mine.getFloat(12)).isEqualTo(4);
    }

    @Test
    void itemIsForOneElement() {
        assertThat(scope.tensor(Memory.ACTIVATION, DType.F32, 1).set(7).item()).isEqualTo(7);
        assertThat(scope.tensor(Memory.ACTIVATION, DType.I64, 1, 1)
                        .set(new int[] {7})
                        .item())
                .isEqualTo(7);
        Tensor two = scope.tensor(Memory.ACTIVATION, DType.F32, 2);
        assertThatThrownBy(two::item).hasMessageContaining("does not have one element");
    }

    @Test
    void emptyTensorsAreLegal() {
        Tensor x = scope.tensor(Memory.ACTIVATION, DType.F32, 0, 4);
        assertThat(x.set().floats()).isEmpty();
        assertThat(x.buffer().capacity()).isZero();
    }

    @Test
    void badShapesAreRefusedByTheLibrary() {
        assertThatThrownBy(() -> scope.tensor(Memory.BASE, DType.F32, -1))
                .isInstanceOf(GraftArgumentException.class)
                .hasMessageStartingWith("graft_tensor_create: ");
        assertThatThrownBy(() -> scope.tensor(Memory.BASE, DType.F32, 1, 1, 1, 1, 1))
                .isInstanceOf(GraftArgumentException.class);
        assertThatThrownBy(() -> scope.tensor(Memory.BASE, DType.F32, Long.MAX_VALUE, Long.MAX_VALUE))
                .isInstanceOf(GraftException.class);
        assertThatThrownBy(() -> scope.matrix(Memory.BASE, DType.F32, 2, 4, 3))
                .hasMessage("matrix: pitch 3 is less than its 4 columns");
        assertThatThrownBy(() -> scope.wrap(0, DType.F32, 2)).isInstanceOf(GraftArgumentException.class);
    }

    @Test
    void tooMuchMemoryIsATypedFailureAndTheContextStaysUsable() {
        assertThatThrownBy(() -> scope.tensor(Memory.BASE, DType.U8, 1L << 60))
                .isInstanceOf(GraftOutOfMemoryException.class);
        assertThat(scope.tensor(Memory.BASE, DType.F32, 1).floats()).containsExactly(0);
    }
}
