package io.graft.interop;

import static io.graft.interop.LoraCase.K;
import static io.graft.interop.LoraCase.N;
import static io.graft.interop.LoraCase.R;
import static io.graft.interop.LoraCase.SCALE;
import static io.graft.interop.LoraCase.T;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.GradientCollector;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import org.junit.jupiter.api.Test;

/** DJL with its PyTorch engine: arrays' memory by direct buffers, and its gradients as the composition. */
class DjlTest {
    /** Over an array's memory: a direct buffer, without a copy. The array must stay open as long as the tensor. */
    private static Tensor wrap(Scope scope, NDArray array) {
        return scope.wrap(array.toByteBuffer(true), DType.F32, array.getShape().getShape());
    }

    @Test
    void loraOnArraysOfDjl() {
        LoraCase lora = new LoraCase();
        try (NDManager manager = NDManager.newBaseManager("PyTorch")) {
            NDArray x = manager.create(lora.x, new Shape(T, K));
            NDArray w = manager.create(lora.w, new Shape(N, K));
            NDArray a = manager.create(lora.a, new Shape(R, K));
            NDArray b = manager.create(lora.b, new Shape(N, R));
            NDArray dy = manager.create(lora.dy, new Shape(T, N));
            NDArray y = manager.zeros(new Shape(T, N));
            NDArray s = manager.zeros(new Shape(T, R));
            NDArray dx = manager.zeros(new Shape(T, K));
            NDArray da = manager.zeros(new Shape(R, K));
            NDArray db = manager.zeros(new Shape(N, R));
            try (Context context = Context.cpu();
                    Scope scope = context.scope()) {
                LoraCase.run(
                        context,
                        wrap(scope, x),
                        scope.weight(wrap(scope, w)),
                        wrap(scope, a),
                        wrap(scope, b),
                        wrap(scope, dy),
                        wrap(scope, y),
                        wrap(scope, s),
                        wrap(scope, dx),
                        wrap(scope, da),
                        wrap(scope, db));
            }
            lora.check("Graft", "y", y.toFloatArray());
            lora.check("Graft", "dx", dx.toFloatArray());
            lora.check("Graft", "da", da.toFloatArray());
            lora.check("Graft", "db", db.toFloatArray());

            x.setRequiresGradient(true);
            a.setRequiresGradient(true);
            b.setRequiresGradient(true);
            try (GradientCollector collector = Engine.getEngine("PyTorch").newGradientCollector()) {
                NDArray composed = x.matMul(w.transpose())
                        .add(x.matMul(a.transpose()).matMul(b.transpose()).mul((float) SCALE));
                lora.check("DJL", "y", composed.toFloatArray());
                collector.backward(composed.mul(dy).sum());
            }
            lora.check("DJL", "dx", x.getGradient().toFloatArray());
            lora.check("DJL", "da", a.getGradient().toFloatArray());
            lora.check("DJL", "db", b.getGradient().toFloatArray());
        }
    }
}
