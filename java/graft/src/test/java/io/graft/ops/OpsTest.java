package io.graft.ops;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

/**
 * Each op of a model once through Java, on numbers that can be checked by hand: that arguments arrive in their places. The
 * mathematics is proved by the native tests.
 */
class OpsTest extends SmallTensors {
    @Test
    void tensorOps() {
        Tensor x = tensor(2, 2).set(1, 2, 3, 4);
        Tensor y = tensor(2, 2);
        TensorOps.fill(context, 5, y);
        assertThat(y.floats()).containsOnly(5);
        assertThat(context.lastDispatch()).startsWith("tensor_fill:cpu/");
        TensorOps.add(context, x, y);
        assertThat(y.floats()).containsExactly(6, 7, 8, 9);
        TensorOps.copy(context, x, y);
        assertThat(y.floats()).containsExactly(1, 2, 3, 4);
    }

    @Test
    void rmsNorm() {
        Tensor x = tensor(1, 2).set(3, 4);
        Tensor w = tensor(2).set(1, 2);
        Tensor y = tensor(1, 2);
        Tensor rstd = tensor(1);
        RmsNorm.forward(context, x, w, 1e-12, y, rstd);
        float r = (float) (1 / Math.sqrt(12.5));
        assertThat(y.floats()).containsExactly(new float[] {3 * r, 8 * r}, NEAR);
        assertThat(rstd.item()).isCloseTo(r, NEAR);
        Tensor dx = tensor(1, 2);
        Tensor dw = tensor(2);
        RmsNorm.backward(context, tensor(1, 2).set(1, 0), x, w, rstd, false, dx, dw);
        assertThat(dw.floats()).containsExactly(new float[] {3 * r, 0}, NEAR);
        assertThat(dx.floats()).containsExactly(new float[] {r - 4.5f * r * r * r, -6 * r * r * r}, NEAR);
    }

    @Test
    void gelu() {
        Tensor x = tensor(1, 3).set(0, 1, -1);
        Tensor y = tensor(1, 3);
        Gelu.forward(context, Gelu.Kind.TANH, x, y);
        assertThat(y.floats()).containsExactly(new float[] {0, 0.841192f, -0.158808f}, NEAR);
        Tensor dx = tensor(1, 3);
        Gelu.backward(context, Gelu.Kind.TANH, tensor(1, 3).set(1, 2, 1), x, dx);
        assertThat(dx.floats()).containsExactly(new float[] {0.5f, 2 * 1.0829641f, -0.0829641f}, NEAR);
    }

    @Test
    void layerNorm() {
        Tensor x = tensor(1, 2).set(3, 5);
        Tensor w = tensor(2).set(1, 2);
        Tensor y = tensor(1, 2);
        Tensor stats = tensor(1, 2);
        LayerNorm.forward(context, x, w, tensor(2).set(7, 8), 3, y, stats);
        assertThat(y.floats()).containsExactly(new float[] {6.5f, 9}, NEAR);
        assertThat(stats.floats()).containsExactly(new float[] {4, 0.5f}, NEAR);
        Tensor dx = tensor(1, 2);
        Tensor dw = tensor(2);
        Tensor db = tensor(2);
        LayerNorm.backward(context, tensor(1, 2).set(1, 0), x, w, stats, false, dx, dw, db);
        assertThat(dw.floats()).containsExactly(new float[] {-0.5f, 0}, NEAR);
        assertThat(db.floats()).containsExactly(new float[] {1, 0}, NEAR);
        assertThat(dx.floats()).containsExactly(new float[] {0.1875f, -0.1875f}, NEAR);
    }

    @Test
    void rope() {
        Tensor frequencies = tensor(1);
        Rope.frequencies(context, 10000, Rope.Scaling.NONE, 0, 0, 0, 0, frequencies);
        assertThat(frequencies.item()).isEqualTo(1);
        Tensor positions = scope.tensor(Memory.ACTIVATION, DType.I32, 1, 1).set(new int[] {1});
        Tensor x = tensor(1, 1, 1, 2).set(1, 0);
        Tensor y = tensor(1, 1, 1, 2);
        Rope.forward(context, x, positions, frequencies, false, 2, y);
        assertThat(y.floats()).containsExactly(new float[] {2 * (float) Math.cos(1), 2 * (float) Math.sin(1)}, NEAR);
        Rope.backward(context, y, positions, frequencies, false, 0.5, y);
        assertThat(y.floats()).containsExactly(new float[] {1, 0}, NEAR);
    }

    @Test
    void swiGlu() {
        Tensor gate = tensor(1, 2).set(0, 2);
        Tensor up = tensor(1, 2).set(5, 3);
        Tensor y = tensor(1, 2);
        SwiGlu.forward(context, SwiGlu.Kind.SILU, gate, up, y);
        float sigmoid = (float) (1 / (1 + Math.exp(-2)));
        assertThat(y.floats()).containsExactly(new float[] {0, 6 * sigmoid}, NEAR);
        Tensor dgate = tensor(1, 2);
        Tensor dup = tensor(1, 2);
        SwiGlu.backward(context, SwiGlu.Kind.SILU, tensor(1, 2).set(1, 1), gate, up, dgate, dup);
        assertThat(dup.floats()).containsExactly(new float[] {0, 2 * sigmoid}, NEAR);
        assertThat(dgate.floats()[0]).isCloseTo(2.5f, NEAR);
    }

    @Test
    void embedding() {
        Tensor table = tensor(3, 2).set(1, 2, 3, 4, 5, 6);
        Tensor ids = scope.tensor(Memory.ACTIVATION, DType.I32, 3).set(new int[] {2, 0, 2});
        Tensor y = tensor(3, 2);
        Embedding.forward(context, table, ids, 1, y);
        assertThat(y.floats()).containsExactly(5, 6, 1, 2, 5, 6);
        Tensor dtable = tensor(3, 2);
        Embedding.backward(context, ids, y, 1, dtable);
        assertThat(dtable.floats()).containsExactly(1, 2, 0, 0, 10, 12);
    }

    @Test
    void linear() {
        Weight w = weight(0, 1, 2, 3, 4);
        Tensor x = tensor(1, 2).set(5, 6);
        Tensor y = tensor(1, 2);
        Linear.forward(context, x, w, tensor(2).set(100, 200), false, y);
        assertThat(y.floats()).containsExactly(117, 239);
        Linear.forward(context, x, w, null, true, y);
        assertThat(y.floats()).containsExactly(134, 278);
        Tensor dx = tensor(1, 2);
        Tensor dw = tensor(2, 2);
        Tensor dbias = tensor(2);
        Linear.backward(context, tensor(1, 2).set(1, 10), x, w, false, dx, dw, dbias);
        assertThat(dx.floats()).containsExactly(31, 42);
        assertThat(dw.floats()).containsExactly(5, 6, 50, 60);
        assertThat(dbias.floats()).containsExactly(1, 10);
    }

    @Test
    void attention() {
        Tensor q = tensor(1, 2, 1, 2).set(1, 0, 1, 0);
        Tensor k = tensor(1, 2, 1, 2).set(0, 1, 0, 1);
        Tensor v = tensor(1, 2, 1, 2).set(1, 2, 3, 4);
        Tensor o = tensor(1, 2, 1, 2);
        Tensor lse = tensor(1, 1, 2);
        Attention.forward(context, q, k, v, null, null, 1, 0, 0, 0, o, lse);
        assertThat(o.floats()).containsExactly(new float[] {1, 2, 2, 3}, NEAR);
        assertThat(lse.floats()).containsExactly(new float[] {0, (float) Math.log(2)}, NEAR);
        Tensor dv = tensor(1, 2, 1, 2);
        Attention.backward(
                context, o, q, k, v, o, lse, null, null, 1, 0, 0, 0, tensor(1, 2, 1, 2), tensor(1, 2, 1, 2), dv);
        assertThat(dv.floats()).containsExactly(new float[] {2, 3.5f, 1, 1.5f}, NEAR);
    }

    @Test
    void linearCrossEntropy() {
        Weight head = weight(0, 0, 0, 0, 0);
        Tensor h = tensor(2, 2).set(1, 2, 3, 4);
        Tensor labels = scope.tensor(Memory.ACTIVATION, DType.I32, 2).set(new int[] {1, -100});
        Tensor loss = tensor(1);
        Tensor count = scope.tensor(Memory.ACTIVATION, DType.I64, 1);
        Tensor dw = tensor(2, 2);
        LinearCrossEntropy.forward(context, h, head, labels, -100, 0, 0, 1, loss, count, tensor(2, 2), dw);
        assertThat(loss.item()).isCloseTo((float) Math.log(2), NEAR);
        assertThat(count.longs()).containsExactly(1);
        assertThat(dw.floats()).containsExactly(new float[] {0.5f, 1, -0.5f, -1}, NEAR);
    }

    @Test
    void adamWStep() {
        Tensor g = tensor(2).set(3, 4);
        Tensor sum = scope.tensor(Memory.OPTIMIZER, DType.F64, 1);
        AdamWStep.squaredNorm(context, g, sum);
        assertThat(sum.doubles()).containsExactly(25);
        Tensor p = tensor(2).set(1, 1);
        Tensor output = scope.tensor(Memory.BASE, DType.BF16, 2);
        AdamWStep.step(context, g, 0.5, 0.9, 0.999, 1e-8, 0.5, 1, 0, null, 0, p, tensor(2), tensor(2), output);
        assertThat(p.floats()).containsExactly(new float[] {0.25f, 0.25f}, NEAR);
        assertThat(output.floats()).containsExactly(0.25f, 0.25f);
    }

    @Test
    void adamWSteps() {
        Tensor g = tensor(2, 1).set(3, 4);
        Tensor sum = scope.tensor(Memory.OPTIMIZER, DType.F64, 1);
        Tensor p = tensor(2, 1).set(1, 1);
        Tensor d = tensor(2, 1).set(1, 1);
        Tensor output = scope.tensor(Memory.BASE, DType.BF16, 2, 1);
        Weight w = weight(0, 1, 2, 3, 4);
        Tensor original = tensor(2, 1).set(7, 8);
        Tensor indices = scope.tensor(Memory.ADAPTER, DType.I64, 1).set(new long[] {1});
        AdamWParameters table = new AdamWParameters(2);
        table.add(g, 1, 1, 1, g, g, g, g, g, g, null);
        table.clear(); // what it held is gone
        table.add(g, 0.5, 0.5, 0, p, tensor(2, 1), null, tensor(2, 1), null, output, null);
        AdamWParameters.Columns columns = new AdamWParameters.Columns(w, indices, original, 2);
        table.add(g, 0.25, 0, 0, d, tensor(2, 1), null, tensor(2, 1), null, null, columns);
        AdamWStep.squaredNorms(context, table, sum);
        assertThat(sum.doubles()).containsExactly(50);
        AdamWStep.steps(context, table, 0.9, 0.999, 1e-8, 1, 0, null);
        assertThat(table.size()).isEqualTo(2);
        assertThat(p.floats()).containsExactly(new float[] {0.25f, 0.25f}, NEAR);
        assertThat(output.floats()).containsExactly(0.25f, 0.25f);
        assertThat(d.floats()).containsExactly(new float[] {0.75f, 0.75f}, NEAR);
        assertThat(w.matrix().floats()).containsExactly(new float[] {1, 8.5f, 3, 9.5f}, NEAR);
    }

    @Test
    void random() {
        Tensor x = tensor(1000);
        Random.uniform(context, 7, 0, 2, 3, x);
        for (float value : x.floats()) {
            assertThat(value).isBetween(2f, 3f);
        }
        Tensor tail = tensor(10);
        Random.uniform(context, 7, 990, 2, 3, tail);
        assertThat(tail.floats())
                .containsExactly(x.reshape(100, 10).rows(99, 100).floats());
        Random.normal(context, 7, 0, 5, 0.5, x);
        double sum = 0;
        for (float value : x.floats()) {
            sum += value;
        }
        assertThat(sum / 1000).isCloseTo(5, Offset.offset(0.1));
    }
}
