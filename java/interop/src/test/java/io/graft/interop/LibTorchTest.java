package io.graft.interop;

import static io.graft.interop.LoraCase.K;
import static io.graft.interop.LoraCase.N;
import static io.graft.interop.LoraCase.R;
import static io.graft.interop.LoraCase.SCALE;
import static io.graft.interop.LoraCase.T;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorArrayRefOptional;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;

/** LibTorch by JavaCPP: its tensors' memory, and its autograd as the composition. */
class LibTorchTest {
    private static Tensor tensor(float[] values, long... shape) {
        return Tensor.create(values, shape);
    }

    /** Over the memory of a contiguous tensor of the CPU. */
    private static io.graft.tensor.Tensor wrap(Scope scope, Tensor tensor, long... shape) {
        return scope.wrap(tensor.data_ptr().address(), tensor, DType.F32, shape);
    }

    private static float[] values(Tensor tensor) {
        float[] values = new float[Math.toIntExact(tensor.numel())];
        new FloatPointer(tensor.contiguous().data_ptr()).get(values);
        return values;
    }

    @Test
    void loraOnTensorsOfLibTorch() {
        LoraCase lora = new LoraCase();
        Tensor x = tensor(lora.x, T, K);
        Tensor w = tensor(lora.w, N, K);
        Tensor a = tensor(lora.a, R, K);
        Tensor b = tensor(lora.b, N, R);
        Tensor dy = tensor(lora.dy, T, N);
        Tensor y = torch.zeros(T, N);
        Tensor s = torch.zeros(T, R);
        Tensor dx = torch.zeros(T, K);
        Tensor da = torch.zeros(R, K);
        Tensor db = torch.zeros(N, R);
        try (Context context = Context.cpu();
                Scope scope = context.scope()) {
            LoraCase.run(
                    context,
                    wrap(scope, x, T, K),
                    scope.weight(wrap(scope, w, N, K)),
                    wrap(scope, a, R, K),
                    wrap(scope, b, N, R),
                    wrap(scope, dy, T, N),
                    wrap(scope, y, T, N),
                    wrap(scope, s, T, R),
                    wrap(scope, dx, T, K),
                    wrap(scope, da, R, K),
                    wrap(scope, db, N, R));
        }
        lora.check("Graft", "y", values(y));
        lora.check("Graft", "dx", values(dx));
        lora.check("Graft", "da", values(da));
        lora.check("Graft", "db", values(db));

        x.set_requires_grad(true);
        a.set_requires_grad(true);
        b.set_requires_grad(true);
        Tensor composed = x.matmul(w.t()).add(x.matmul(a.t()).matmul(b.t()).mul(new Scalar(SCALE)));
        composed.backward(dy, new BoolOptional(), false, new TensorArrayRefOptional());
        lora.check("LibTorch", "y", values(composed.detach()));
        lora.check("LibTorch", "dx", values(x.grad()));
        lora.check("LibTorch", "da", values(a.grad()));
        lora.check("LibTorch", "db", values(b.grad()));
    }
}
