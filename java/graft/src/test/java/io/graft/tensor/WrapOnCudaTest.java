package io.graft.tensor;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.Emulated;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;

/** A buffer is memory of the CPU, whatever its address says to a GPU. */
@Emulated
class WrapOnCudaTest {
    @Test
    void contextsOfGpusTakeNoBuffers() {
        ByteBuffer buffer = ByteBuffer.allocateDirect(8).order(ByteOrder.nativeOrder());
        try (Context context = Context.on(Device.cuda(0));
                Scope scope = context.scope()) {
            assertThatThrownBy(() -> scope.wrap(buffer, DType.F32, 2))
                    .isInstanceOf(UnsupportedOperationException.class)
                    .hasMessageContaining("memory of the CPU");
        }
    }
}
