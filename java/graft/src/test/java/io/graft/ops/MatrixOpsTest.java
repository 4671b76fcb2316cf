package io.graft.ops;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import org.junit.jupiter.api.Test;

/** As {@link OpsTest}, the ops of methods whose change of a weight is a matrix of a form of its own. */
class MatrixOpsTest extends SmallTensors {
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
