package io.graft.interop;

import static io.graft.interop.LoraCase.K;
import static io.graft.interop.LoraCase.N;
import static io.graft.interop.LoraCase.R;
import static io.graft.interop.LoraCase.SCALE;
import static io.graft.interop.LoraCase.T;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** ONNX Runtime: its tensors' direct buffers, and a session over the same tensors as the composition. */
class OnnxRuntimeTest {
    private static OnnxTensor tensor(float[] values, long rows, long columns) throws OrtException {
        FloatBuffer buffer = ByteBuffer.allocateDirect(values.length * Float.BYTES)
                .order(ByteOrder.nativeOrder())
                .asFloatBuffer();
        buffer.put(values).rewind();
        return OnnxTensor.createTensor(OrtEnvironment.getEnvironment(), buffer, new long[] {rows, columns});
    }

    private static OnnxTensor zeros(int rows, int columns) throws OrtException {
        return tensor(new float[rows * columns], rows, columns);
    }

    /** Over the buffer that the tensor was made on. */
    private static Tensor wrap(Scope scope, OnnxTensor tensor) {
        return scope.wrap(
                tensor.getBufferRef().orElseThrow(), DType.F32, tensor.getInfo().getShape());
    }

    private static float[] values(OnnxTensor tensor) {
        FloatBuffer buffer = tensor.getFloatBuffer();
        float[] values = new float[buffer.remaining()];
        buffer.get(values);
        return values;
    }

    @Test
    void loraOnTensorsOfOnnxRuntime() throws OrtException {
        LoraCase lora = new LoraCase();
        Map<String, OnnxTensor> inputs = Map.of(
                "x", tensor(lora.x, T, K),
                "w", tensor(lora.w, N, K),
                "a", tensor(lora.a, R, K),
                "b", tensor(lora.b, N, R),
                "dy", tensor(lora.dy, T, N));
        Map<String, OnnxTensor> outputs =
                Map.of("y", zeros(T, N), "dx", zeros(T, K), "da", zeros(R, K), "db", zeros(N, R));
        try (Context context = Context.cpu();
                Scope scope = context.scope();
                OnnxTensor s = zeros(T, R)) {
            LoraCase.run(
                    context,
                    wrap(scope, inputs.get("x")),
                    scope.weight(wrap(scope, inputs.get("w"))),
                    wrap(scope, inputs.get("a")),
                    wrap(scope, inputs.get("b")),
                    wrap(scope, inputs.get("dy")),
                    wrap(scope, outputs.get("y")),
                    wrap(scope, s),
                    wrap(scope, outputs.get("dx")),
                    wrap(scope, outputs.get("da")),
                    wrap(scope, outputs.get("db")));
        }
        outputs.forEach((name, tensor) -> lora.check("Graft", name, values(tensor)));

        // The session writes into the tensors that Graft has written to.
        try (OrtSession session = OrtEnvironment.getEnvironment().createSession(composition())) {
            session.run(inputs, outputs).close();
        }
        outputs.forEach((name, tensor) -> lora.check("ONNX Runtime", name, values(tensor)));
        inputs.values().forEach(OnnxTensor::close);
        outputs.values().forEach(OnnxTensor::close);
    }

    private static byte[] composition() {
        return new OnnxModel()
                .input("x", T, K)
                .input("w", N, K)
                .input("a", R, K)
                .input("b", N, R)
                .input("dy", T, N)
                .gemm("s", 1, "x", false, "a", true, null)
                .gemm("frozen", 1, "x", false, "w", true, null)
                .gemm("y", SCALE, "s", false, "b", true, "frozen")
                .gemm("ds", SCALE, "dy", false, "b", false, null)
                .gemm("through", 1, "dy", false, "w", false, null)
                .gemm("dx", 1, "ds", false, "a", false, "through")
                .gemm("da", 1, "ds", true, "x", false, null)
                .gemm("db", SCALE, "dy", true, "s", false, null)
                .output("y", T, N)
                .output("dx", T, K)
                .output("da", R, K)
                .output("db", N, R)
                .bytes();
    }
}
