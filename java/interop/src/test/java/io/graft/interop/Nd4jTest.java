package io.graft.interop;

import static io.graft.interop.LoraCase.K;
import static io.graft.interop.LoraCase.N;
import static io.graft.interop.LoraCase.R;
import static io.graft.interop.LoraCase.SCALE;
import static io.graft.interop.LoraCase.T;
import static org.assertj.core.api.Assertions.assertThat;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** ND4J: its arrays' memory by their address, and its products as the composition. */
class Nd4jTest {
    private static INDArray array(float[] values, int rows, int columns) {
        return Nd4j.createFromArray(values).reshape('c', rows, columns);
    }

    private static INDArray zeros(int rows, int columns) {
        return Nd4j.zeros(DataType.FLOAT, rows, columns);
    }

    /** Over the memory of a row-major array, which may be a view of another. */
    private static Tensor wrap(Scope scope, INDArray array) {
        long address = array.data().address() + array.offset() * array.data().getElementSize();
        return scope.wrap(address, array, DType.F32, array.shape());
    }

    private static float[] values(INDArray array) {
        return array.dup('c').reshape(array.length()).toFloatVector();
    }

    @Test
    void viewsHaveAnOffset() {
        INDArray all = array(new float[] {0, 1, 2, 3, 4, 5}, 3, 2);
        try (Context context = Context.cpu();
                Scope scope = context.scope()) {
            Tensor rows = wrap(scope, all.get(NDArrayIndex.interval(1, 3), NDArrayIndex.all()));
            assertThat(rows.floats()).containsExactly(2, 3, 4, 5);
        }
        assertThat(all.transpose().ordering()).as("not row-major").isEqualTo('f');
    }

    @Test
    void loraOnArraysOfNd4j() {
        LoraCase lora = new LoraCase();
        INDArray x = array(lora.x, T, K);
        INDArray w = array(lora.w, N, K);
        INDArray a = array(lora.a, R, K);
        INDArray b = array(lora.b, N, R);
        INDArray dy = array(lora.dy, T, N);
        INDArray y = zeros(T, N);
        INDArray s = zeros(T, R);
        INDArray dx = zeros(T, K);
        INDArray da = zeros(R, K);
        INDArray db = zeros(N, R);
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
        lora.check("Graft", "y", values(y));
        lora.check("Graft", "dx", values(dx));
        lora.check("Graft", "da", values(da));
        lora.check("Graft", "db", values(db));

        INDArray low = x.mmul(a.transpose());
        INDArray back = dy.mmul(b).mul(SCALE);
        lora.check(
                "ND4J",
                "y",
                values(x.mmul(w.transpose()).add(low.mmul(b.transpose()).mul(SCALE))));
        lora.check("ND4J", "dx", values(dy.mmul(w).add(back.mmul(a))));
        lora.check("ND4J", "da", values(back.transpose().mmul(x)));
        lora.check("ND4J", "db", values(dy.transpose().mmul(low).mul(SCALE)));
    }
}
