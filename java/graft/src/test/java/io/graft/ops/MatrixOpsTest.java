package io.graft.ops;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import org.junit.jupiter.api.Test;

/** As {@link OpsTest}, the ops of methods whose change of a weight is a matrix of a form of its own. */
class MatrixOpsTest extends SmallTensors {
    /** One quarter of a turn, and by the series' first power: I + 2Q. */
    @Test
    void cayley() {
        Tensor q = tensor(1, 1).set(1);
        Tensor r = tensor(1, 2, 2);
        Cayley.forward(context, q, 0, r);
        assertThat(r.floats()).containsExactly(-1, -1, 1, -1);
        Cayley.forward(context, q, 2, r);
        assertThat(r.floats()).containsExactly(0, 2, -2, 0);
        Tensor dq = tensor(1, 1).set(100);
        Cayley.backward(context, tensor(1, 2, 2).set(5, 1, 3, 7), q, 2, dq);
        assertThat(dq.floats()).containsExactly(96);
    }

    @Test
    void blockDiagonal() {
        Tensor x = tensor(1, 4).set(1, 2, 3, 4);
        Tensor r = tensor(1, 2, 2).set(0, 1, -1, 0);
        Tensor y = tensor(1, 4);
        BlockDiagonal.forward(context, x, r, null, y);
        assertThat(y.floats()).containsExactly(-1, 3, -1, 7);
        Tensor dx = tensor(1, 4).set(100, 0, 0, 0);
        Tensor dr = tensor(1, 2, 2);
        BlockDiagonal.backward(context, tensor(1, 4).set(1, 0, 0, 1), x, r, null, true, dx, dr);
        assertThat(dx.floats()).containsExactly(101, -1, 1, 1);
        assertThat(dr.floats()).containsExactly(1, 3, 2, 4);
        Tensor order = scope.tensor(Memory.ACTIVATION, DType.I64, 4).set(new long[] {0, 2, 1, 3});
        BlockDiagonal.forward(context, x, r, order, y);
        assertThat(y.floats()).containsExactly(-2, -2, 4, 6);
    }

    @Test
    void groupSum() {
        Tensor y = tensor(1, 2);
        GroupSum.forward(context, tensor(1, 4).set(1, 2, 3, 4), 2, y);
        assertThat(y.floats()).containsExactly(6, 14);
        Tensor dx = tensor(1, 4).set(1, 1, 1, 1);
        GroupSum.backward(context, y, 0.5, true, dx);
        assertThat(dx.floats()).containsExactly(4, 4, 8, 8);
    }

    /** W' = [1 2; 3 4] ⊙ (1 + [1; 2] [1 0]). */
    @Test
    void hira() {
        Weight w = weight(0, 1, 2, 3, 4);
        Tensor a = tensor(1, 2).set(1, 0);
        Tensor b = tensor(2, 1).set(1, 2);
        Tensor x = tensor(1, 2).set(1, 10);
        Tensor y = tensor(1, 2);
        Hira.forward(context, x, w, a, b, false, y);
        assertThat(y.floats()).containsExactly(22, 49);
        Tensor dx = tensor(1, 2);
        Tensor da = tensor(1, 2);
        Tensor db = tensor(2, 1);
        Hira.backward(context, tensor(1, 2).set(1, 1), x, w, a, b, false, dx, da, db);
        assertThat(dx.floats()).containsExactly(11, 6);
        assertThat(da.floats()).containsExactly(7, 100);
        assertThat(db.floats()).containsExactly(1, 3);
        Hira.merge(context, w, a, b, w.matrix());
        assertThat(w.matrix().floats()).containsExactly(2, 2, 9, 4);
    }

    @Test
    void transpose() {
        Tensor y = tensor(3, 2);
        TensorOps.transpose(context, tensor(2, 3).set(1, 2, 3, 4, 5, 6), y);
        assertThat(y.floats()).containsExactly(1, 4, 2, 5, 3, 6);
    }

    /** The blocks of w = (1, 2) and (3, 4), side by side. */
    @Test
    void circulant() {
        Tensor w = tensor(1, 2, 2).set(1, 2, 3, 4);
        Tensor x = tensor(1, 4).set(1, 0, 0, 1);
        Tensor y = tensor(1, 2).set(100, 100);
        Circulant.forward(context, x, w, 2, true, y);
        assertThat(y.floats()).containsExactly(new float[] {110, 110}, NEAR);
        Tensor dx = tensor(1, 4);
        Tensor dw = tensor(1, 2, 2);
        Circulant.backward(context, tensor(1, 2).set(1, 0), x, w, 2, false, dx, dw);
        assertThat(dx.floats()).containsExactly(new float[] {2, 4, 6, 8}, NEAR);
        assertThat(dw.floats()).containsExactly(new float[] {2, 0, 0, 2}, NEAR);
        Weight base = weight(0, 1, 1, 1, 1);
        Circulant.merge(context, base, tensor(1, 1, 2).set(1, 2), 1, base.matrix());
        assertThat(base.matrix().floats()).containsExactly(2, 3, 3, 2);
    }

    /** cos(π (n + k)) of two by two. */
    @Test
    void fourier() {
        Tensor c = tensor(1).set(3);
        Tensor places = scope.tensor(Memory.ACTIVATION, DType.I32, 2, 1).set(new int[] {1, 1});
        Tensor x = tensor(1, 2).set(5, 1);
        Tensor y = tensor(1, 2).set(1, 1);
        Fourier.forward(context, x, c, places, 4, true, y);
        assertThat(y.floats()).containsExactly(new float[] {13, -11}, NEAR);
        Tensor dx = tensor(1, 2);
        Tensor dc = tensor(1);
        Fourier.backward(context, tensor(1, 2).set(1, 0), x, c, places, 4, 2, false, dx, dc);
        assertThat(dx.floats()).containsExactly(new float[] {3, -3}, NEAR);
        assertThat(dc.floats()).containsExactly(new float[] {4}, NEAR);
        Weight base = weight(0, 1, 1, 1, 1);
        Fourier.merge(context, base, c, places, 4, base.matrix());
        assertThat(base.matrix().floats()).containsExactly(new float[] {4, -2, -2, 4}, NEAR);
    }

    @Test
    void khatriRao() {
        Tensor u = tensor(1, 2).set(2, 3);
        Tensor v = tensor(2, 2).set(1, 2, 3, 4);
        Tensor y = tensor(2, 2);
        KhatriRao.forward(context, u, v, false, y);
        assertThat(y.floats()).containsExactly(2, 6, 6, 12);
        Tensor du = tensor(1, 2);
        Tensor dv = tensor(2, 2);
        KhatriRao.backward(context, tensor(2, 2).set(1, 0, 0, 1), u, v, false, du, dv);
        assertThat(du.floats()).containsExactly(1, 4);
        assertThat(dv.floats()).containsExactly(2, 0, 0, 3);
        Tensor columns = tensor(2, 2);
        KhatriRao.forward(context, tensor(2, 1).set(10, 100), v, true, columns);
        assertThat(columns.floats()).containsExactly(10, 20, 300, 400);
    }

    /** D = 2 · [1 3]ᵀ ⊗ (1 · [1 2]). */
    @Test
    void kronecker() {
        Tensor w1 = tensor(1, 2, 1).set(1, 3);
        Tensor b = tensor(1, 1, 1).set(1);
        Tensor a = tensor(1, 1, 2).set(1, 2);
        Tensor x = tensor(1, 2).set(1, 1);
        Tensor y = tensor(1, 2).set(100, 100);
        Kronecker.forward(context, x, w1, b, a, 2, true, y);
        assertThat(y.floats()).containsExactly(106, 118);
        Tensor dx = tensor(1, 2);
        Tensor dw1 = tensor(1, 2, 1);
        Tensor db = tensor(1, 1, 1);
        Tensor da = tensor(1, 1, 2);
        Kronecker.backward(context, tensor(1, 2).set(1, 1), x, w1, b, a, 2, false, dx, dw1, db, da);
        assertThat(dx.floats()).containsExactly(8, 16);
        assertThat(dw1.floats()).containsExactly(6, 6);
        assertThat(db.floats()).containsExactly(24);
        assertThat(da.floats()).containsExactly(8, 8);
        Weight w = weight(0, 1, 1, 1, 1);
        Kronecker.merge(context, w, w1, b, a, 2, w.matrix());
        assertThat(w.matrix().floats()).containsExactly(3, 5, 7, 13);
    }
}
