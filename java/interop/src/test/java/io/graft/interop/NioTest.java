package io.graft.interop;

import static io.graft.interop.LoraCase.K;
import static io.graft.interop.LoraCase.N;
import static io.graft.interop.LoraCase.R;
import static io.graft.interop.LoraCase.T;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import org.junit.jupiter.api.Test;

/** Plain direct buffers; the loops of {@link LoraCase} are the composition. */
class NioTest {
    private static FloatBuffer buffer(float... values) {
        return zeros(values.length).put(values).rewind();
    }

    private static FloatBuffer zeros(int count) {
        return ByteBuffer.allocateDirect(count * Float.BYTES)
                .order(ByteOrder.nativeOrder())
                .asFloatBuffer();
    }

    private static float[] values(FloatBuffer buffer) {
        float[] values = new float[buffer.capacity()];
        buffer.duplicate().clear().get(values);
        return values;
    }

    @Test
    void loraOnDirectBuffers() {
        LoraCase lora = new LoraCase();
        FloatBuffer y = zeros(T * N);
        FloatBuffer dx = zeros(T * K);
        FloatBuffer da = zeros(R * K);
        FloatBuffer db = zeros(N * R);
        try (Context context = Context.cpu();
                Scope scope = context.scope()) {
            LoraCase.run(
                    context,
                    scope.wrap(buffer(lora.x), DType.F32, T, K),
                    scope.weight(scope.wrap(buffer(lora.w), DType.F32, N, K)),
                    scope.wrap(buffer(lora.a), DType.F32, R, K),
                    scope.wrap(buffer(lora.b), DType.F32, N, R),
                    scope.wrap(buffer(lora.dy), DType.F32, T, N),
                    scope.wrap(y, DType.F32, T, N),
                    scope.wrap(zeros(T * R), DType.F32, T, R),
                    scope.wrap(dx, DType.F32, T, K),
                    scope.wrap(da, DType.F32, R, K),
                    scope.wrap(db, DType.F32, N, R));
        }
        lora.check("Graft", "y", values(y));
        lora.check("Graft", "dx", values(dx));
        lora.check("Graft", "da", values(da));
        lora.check("Graft", "db", values(db));
    }
}
