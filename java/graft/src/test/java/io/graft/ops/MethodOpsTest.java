package io.graft.ops;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.binding.Native;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import org.junit.jupiter.api.Test;

/** As {@link OpsTest}, the ops of the methods that train a model. */
class MethodOpsTest extends SmallTensors {
    @Test
    void dora() {
        Weight w = weight(0, 3, 4, 0, 1);
        Tensor a = tensor(1, 2).set(1, 0);
        Tensor b = tensor(2, 1).set(0, 1);
        Tensor squared = tensor(2);
        Tensor norm = tensor(2);
        Dora.squaredNorms(context, w, squared);
        assertThat(squared.floats()).containsExactly(25, 1);
        Dora.norms(context, w, squared, a, b, 2, norm); // rows 3 4 and 2 1
        float root = (float) Math.sqrt(5);
        assertThat(norm.floats()).containsExactly(new float[] {5, root}, NEAR);
        Tensor m = tensor(2).set(10, root);
        Tensor x = tensor(1, 2).set(1, 2);
        Tensor y = tensor(1, 2).set(1, 1);
        Tensor kept = tensor(1, 3);
        Dora.forward(context, x, w, a, b, 2, m, norm, tensor(2).set(100, 0), 0, 0, 0, true, y, kept);
        assertThat(y.floats()).containsExactly(new float[] {1 + 22 + 100, 1 + 4}, NEAR);
        assertThat(kept.floats()).containsExactly(new float[] {11, 4, 1}, NEAR);
        Tensor dx = tensor(1, 2);
        Tensor da = tensor(1, 2);
        Tensor db = tensor(2, 1);
        Tensor dm = tensor(2);
        Tensor dbias = tensor(2);
        Tensor dy = tensor(1, 2).set(1, 3);
        Dora.backward(context, dy, x, kept, w, a, b, 2, m, norm, 0, 0, 0, false, dx, da, db, dm, dbias);
        assertThat(dx.floats()).containsExactly(new float[] {6 + 6, 8 + 3}, NEAR);
        assertThat(da.floats()).containsExactly(new float[] {6, 12}, NEAR);
        assertThat(db.floats()).containsExactly(new float[] {4, 6}, NEAR);
        assertThat(dm.floats()).containsExactly(new float[] {11f / 5, 12 / root}, NEAR);
        assertThat(dbias.floats()).containsExactly(1, 3);
        Tensor merged = tensor(2, 2);
        Dora.merge(context, w, a, b, 2, m, norm, merged);
        assertThat(merged.floats()).containsExactly(new float[] {6, 8, 2, 1}, NEAR);
    }

    @Test
    void rowScale() {
        Tensor x = tensor(2, 2).set(1, 2, 3, 4);
        Tensor s = tensor(2).set(2, -1);
        Tensor y = tensor(2, 2);
        RowScale.forward(context, x, s, y);
        assertThat(y.floats()).containsExactly(2, 4, -3, -4);
        Tensor dx = tensor(2, 2);
        Tensor ds = tensor(2);
        RowScale.backward(context, tensor(2, 2).set(1, 0, 0, 1), x, s, dx, ds);
        assertThat(dx.floats()).containsExactly(2, 0, 0, -1);
        assertThat(ds.floats()).containsExactly(1, 4);
    }

    @Test
    void loraLinear() {
        Weight w = weight(1, 1, 2, 3, 4);
        Tensor a = tensor(1, 2).set(1, 1);
        Tensor b = tensor(2, 1).set(1, 2);
        LoraLinear.pack(context, a, b, 2, w);
        Tensor x = scope.matrix(Memory.ACTIVATION, DType.F32, 1, 2, 3).set(5, 6);
        Tensor y = tensor(1, 2);
        Tensor s = tensor(1, 1);
        LoraLinear.forward(context, x, w, a, b, 2, null, 0, 0, 0, false, y, s);
        assertThat(s.item()).isEqualTo(11);
        assertThat(y.floats()).containsExactly(17 + 22, 39 + 44);
        Tensor dx = tensor(1, 2);
        Tensor da = tensor(1, 2);
        Tensor db = tensor(2, 1);
        Tensor dy = tensor(1, 2).set(1, 10);
        LoraLinear.backward(context, dy, x, s, w, a, b, 2, 0, 0, 0, false, dx, da, db, null);
        assertThat(dx.floats()).containsExactly(31 + 42, 42 + 42);
        assertThat(da.floats()).containsExactly(42 * 5, 42 * 6);
        assertThat(db.floats()).containsExactly(22, 220);
        Tensor merged = tensor(2, 2);
        LoraLinear.merge(context, w, a, b, 2, merged);
        assertThat(merged.floats()).containsExactly(3, 4, 7, 8);
    }

    @Test
    void loraSegments() {
        Weight w = weight(0, 1, 2, 3, 4);
        Tensor segments = scope.tensor(Memory.ACTIVATION, DType.I32, 3, 2).set(new int[] {1, 1, 2, -1, 3, 0});
        Tensor ranks = scope.tensor(Memory.ACTIVATION, DType.I32, 2).set(new int[] {1, 1});
        Tensor scales = scope.tensor(Memory.ACTIVATION, DType.F64, 2).set(new double[] {2, 10});
        Tensor a = tensor(2, 2).set(1, 1, 1, 0);
        Tensor b = tensor(2, 2).set(1, 0, 2, 1);
        Tensor x = tensor(3, 2).set(5, 6, 5, 6, 5, 6);
        Tensor y = tensor(3, 2);
        Tensor s = tensor(3, 1);
        LoraSegments.forward(context, x, w, segments, ranks, scales, a, b, null, 0, 0, 0, false, y, s);
        assertThat(s.floats()).containsExactly(5, 0, 11);
        assertThat(y.floats()).containsExactly(17, 39 + 50, 17, 39, 17 + 22, 39 + 44);
        Tensor dx = tensor(3, 2);
        Tensor da = tensor(2, 2);
        Tensor db = tensor(2, 2);
        Tensor dy = tensor(3, 2).set(1, 10, 1, 10, 1, 10);
        LoraSegments.backward(context, dy, x, s, w, segments, ranks, scales, a, b, 0, 0, 0, false, dx, da, db, null);
        assertThat(dx.floats()).containsExactly(31 + 100, 42, 31, 42, 31 + 42, 42 + 42);
        assertThat(da.floats()).containsExactly(42 * 5, 42 * 6, 100 * 5, 100 * 6);
        assertThat(db.floats()).containsExactly(22, 50, 220, 500);
    }

    @Test
    void mixture() {
        float log3 = (float) Math.log(3);
        Tensor logits = tensor(1, 3).set(log3, 0, -1);
        Tensor gates = tensor(1, 3);
        Mixture.routeForward(context, logits, 2, false, gates);
        assertThat(gates.floats()).containsExactly(new float[] {0.75f, 0.25f, 0}, NEAR);
        Tensor dlogits = tensor(1, 3);
        Tensor loss = tensor(1);
        Mixture.routeBackward(context, logits, gates, tensor(1, 3).set(4, 0, 9), false, 0, null, dlogits, loss);
        assertThat(dlogits.floats()).containsExactly(new float[] {0.75f, -0.75f, 0}, NEAR);
        assertThat(loss.item()).isZero();
        Tensor x = tensor(1, 6).set(1, 2, 3, 4, 5, 6);
        Tensor y = tensor(1, 6);
        Mixture.blocksForward(context, x, gates, 4, y);
        assertThat(y.floats()).containsExactly(new float[] {3, 6, 3, 4, 0, 0}, NEAR);
        Tensor dx = tensor(1, 6);
        Tensor dgates = tensor(1, 3);
        Mixture.blocksBackward(context, tensor(1, 6).set(1, 1, 1, 1, 1, 1), x, gates, 4, dx, dgates);
        assertThat(dx.floats()).containsExactly(new float[] {3, 3, 1, 1, 0, 0}, NEAR);
        assertThat(dgates.floats()).containsExactly(new float[] {12, 28, 44}, NEAR);
        Tensor v = tensor(3, 2).set(4, 8, 4, 0, 1, 1);
        Tensor z = tensor(1, 2).set(1, 1);
        Tensor u = tensor(1, 2).set(1, 2);
        Mixture.vectorsForward(context, u, gates, v, true, z);
        assertThat(z.floats()).containsExactly(new float[] {1 + 4, 1 + 12}, NEAR);
        Tensor du = tensor(1, 2);
        Tensor dv = tensor(3, 2);
        Mixture.vectorsBackward(context, tensor(1, 2).set(1, 10), u, gates, v, du, dgates, dv);
        assertThat(du.floats()).containsExactly(new float[] {4, 60}, NEAR);
        assertThat(dgates.floats()).containsExactly(new float[] {164, 4, 21}, NEAR);
        assertThat(dv.floats()).containsExactly(new float[] {0.75f, 15, 0.25f, 5, 0, 0}, NEAR);
        Mixture.combineForward(context, x, gates, z);
        assertThat(z.floats()).containsExactly(new float[] {1.5f, 2.5f}, NEAR);
        Mixture.combineBackward(context, tensor(1, 2).set(1, 10), x, gates, false, dx, dgates);
        assertThat(dx.floats()).containsExactly(new float[] {0.75f, 7.5f, 0.25f, 2.5f, 0, 0}, NEAR);
        assertThat(dgates.floats()).containsExactly(new float[] {21, 43, 65}, NEAR);
    }

    @Test
    void paca() {
        Weight w = weight(0, 1, 2, 3, 4);
        Tensor indices = scope.tensor(Memory.ADAPTER, DType.I64, 1).set(new long[] {1});
        Tensor original = tensor(2, 1);
        Paca.read(context, w, indices, original);
        assertThat(original.floats()).containsExactly(2, 4);
        Paca.write(context, tensor(2, 1).set(10, 20), original, indices, 2, w);
        assertThat(w.matrix().floats()).containsExactly(1, 22, 3, 44);
        Tensor x = tensor(1, 2).set(5, 6);
        Tensor y = tensor(1, 2);
        Tensor kept = tensor(1, 1);
        Paca.forward(context, x, w, indices, null, false, y, kept);
        assertThat(y.floats()).containsExactly(5 + 132, 15 + 264);
        assertThat(kept.item()).isEqualTo(6);
        Tensor dx = tensor(1, 2);
        Tensor dd = tensor(2, 1);
        Paca.backward(context, tensor(1, 2).set(1, 10), kept, w, 2, false, dx, dd, null);
        assertThat(dx.floats()).containsExactly(31, 462);
        assertThat(dd.floats()).containsExactly(12, 120);
        Paca.write(context, null, original, indices, 2, w);
        assertThat(w.matrix().floats()).containsExactly(1, 2, 3, 4);
        Tensor d = tensor(2, 1).set(10, 20);
        Paca.slabForward(context, x, w, indices, d, 2, null, false, y, kept);
        assertThat(y.floats()).containsExactly(5 + 132, 15 + 264);
        Paca.slabBackward(context, tensor(1, 2).set(1, 10), kept, w, indices, d, 2, false, dx, dd, null);
        assertThat(dx.floats()).containsExactly(31, 462);
        assertThat(dd.floats()).containsExactly(24, 240);
        Tensor norms = tensor(2);
        Paca.columnNorms(context, weight(0, 3, 0, 4, 2), norms);
        assertThat(norms.floats()).containsExactly(5, 2);
    }

    @Test
    void sparse() {
        Weight w = weight(0, 1, 2, 3, 4);
        Tensor indices = scope.tensor(Memory.ADAPTER, DType.I32, 2, 2).set(new int[] {0, 1, 1, 0});
        Tensor original = tensor(2);
        Sparse.read(context, w, indices, original);
        assertThat(original.floats()).containsExactly(2, 3);
        Sparse.write(context, tensor(2).set(10, 20), original, indices, w);
        assertThat(w.matrix().floats()).containsExactly(1, 12, 23, 4);
        Tensor dd = tensor(2).set(1, 1);
        Sparse.gradient(context, tensor(1, 2).set(1, 10), tensor(1, 2).set(5, 6), indices, dd);
        assertThat(dd.floats()).containsExactly(1 + 6, 1 + 50);
        Sparse.write(context, null, original, indices, w);
        assertThat(w.matrix().floats()).containsExactly(1, 2, 3, 4);
        Tensor sums = tensor(2, 2).set(1, 1, 1, 1);
        Sparse.addSquares(context, tensor(2, 2).set(0, -1, 2, 3), sums);
        assertThat(sums.floats()).containsExactly(1, 2, 5, 10);
        Tensor g = tensor(2, 2).set(-9, 1, 4, -2);
        Sparse.select(context, Sparse.Score.ABSOLUTE, g, null, true, indices);
        assertThat(indices.ints()).containsExactly(0, 1, 0, 0);
        Sparse.select(context, Sparse.Score.ABSOLUTE, g, null, false, indices);
        assertThat(indices.ints()).containsExactly(0, 1, 1, 1);
        Sparse.select(context, Sparse.Score.PRODUCT, w.matrix(), g, false, indices);
        assertThat(indices.ints()).containsExactly(0, 1, 1, 1);
        Sparse.select(context, Sparse.Score.DIFFERENCE, w.matrix(), g, true, indices);
        assertThat(indices.ints()).containsExactly(0, 1, 0, 1);
        assertThat(Sparse.Score.ABSOLUTE.ordinal()).isEqualTo(Native.GRAFT_SPARSE_ABSOLUTE);
        assertThat(Sparse.Score.PRODUCT.ordinal()).isEqualTo(Native.GRAFT_SPARSE_PRODUCT);
        assertThat(Sparse.Score.DIFFERENCE.ordinal()).isEqualTo(Native.GRAFT_SPARSE_DIFFERENCE);
    }

    @Test
    void activation() {
        Tensor x = tensor(1, 3).set(-1, 0.5f, 2);
        Tensor y = tensor(1, 3);
        Tensor dx = tensor(1, 3);
        Tensor dy = tensor(1, 3).set(3, 4, 5);
        Activation.forward(context, Activation.Kind.RELU, x, y);
        assertThat(y.floats()).containsExactly(0, 0.5f, 2);
        Activation.backward(context, Activation.Kind.RELU, dy, y, dx);
        assertThat(dx.floats()).containsExactly(0, 4, 5);
        Activation.forward(context, Activation.Kind.TANH, x, y);
        float t = (float) Math.tanh(2);
        assertThat(y.floats()[2]).isCloseTo(t, NEAR);
        Activation.backward(context, Activation.Kind.TANH, dy, y, dx);
        assertThat(dx.floats()[2]).isCloseTo(5 * (1 - t * t), NEAR);
        assertThat(Activation.Kind.RELU.ordinal()).isEqualTo(Native.GRAFT_ACTIVATION_RELU);
        assertThat(Activation.Kind.SIGMOID.ordinal()).isEqualTo(Native.GRAFT_ACTIVATION_SIGMOID);
        assertThat(Activation.Kind.TANH.ordinal()).isEqualTo(Native.GRAFT_ACTIVATION_TANH);
    }

    @Test
    void ia3() {
        Weight w = weight(0, 1, 2, 3, 4);
        Tensor x = tensor(1, 2).set(5, 6);
        Tensor in = tensor(2).set(2, 1);
        Tensor out = tensor(2).set(1, 10);
        Tensor y = tensor(1, 2);
        Tensor z = tensor(1, 2);
        Ia3.forward(context, x, w, in, out, tensor(2).set(100, 0), false, y, z);
        assertThat(z.floats()).containsExactly(122, 54);
        assertThat(y.floats()).containsExactly(122, 540);
        Tensor dx = tensor(1, 2);
        Tensor din = tensor(2);
        Tensor dout = tensor(2);
        Tensor dbias = tensor(2);
        Ia3.backward(context, tensor(1, 2).set(1, 2), x, z, w, in, out, false, dx, din, dout, dbias);
        assertThat(dx.floats()).containsExactly(122, 82);
        assertThat(din.floats()).containsExactly(305, 492);
        assertThat(dout.floats()).containsExactly(122, 108);
        assertThat(dbias.floats()).containsExactly(1, 20);
        Ia3.merge(context, w, in, out, w.matrix());
        assertThat(w.matrix().floats()).containsExactly(2, 2, 60, 40);
    }

    @Test
    void nf4() {
        Tensor matrix = tensor(2, 3).set(1, -2, 0, 2, 1.4f, -0.2f);
        Weight w = scope.nf4(Memory.BASE, 2, 3, true);
        assertThat(w.kind()).isEqualTo(Weight.Kind.NF4);
        Nf4.quantize(context, matrix, w);
        Tensor back = tensor(2, 3);
        Nf4.dequantize(context, w, back);
        float half = 2 * 0.44070982933044434f;
        float most = 2 * 0.7229568362236023f;
        assertThat(back.floats()).containsExactly(half, -2, 0, 2, most, 2 * -0.09105003625154495f);
        Tensor y = tensor(1, 2);
        Linear.forward(context, tensor(1, 3).set(1, 0, 0), w, null, false, y);
        assertThat(y.floats()).containsExactly(half, 2);
    }

    @Test
    void sketch() {
        Tensor table = scope.tensor(Memory.ADAPTER, DType.F32, 1, 2, 4).set(1, 2, 3, 4, 5, 6, 7, 8);
        Weight w = scope.sketch(Memory.BASE, table, 4);
        assertThat(w.kind()).isEqualTo(Weight.Kind.SKETCH);
        Tensor codes = scope.tensor(Memory.BASE, DType.U8, 1, 2, 1).set(new int[] {0x03, 0x12});
        Sketch.pack(context, codes, w);
        Tensor bytes = scope.tensor(Memory.BASE, DType.U8, 1, 4);
        Sketch.unpack(context, w, bytes);
        assertThat(bytes.ints()).containsExactly(0, 3, 1, 2);
        Tensor matrix = tensor(1, 4);
        Sketch.decode(context, w, matrix);
        assertThat(matrix.floats()).containsExactly(1, 4, 6, 7);
        Tensor x = tensor(1, 4).set(1, 10, 100, 1000);
        Tensor y = tensor(1, 1);
        table.set(1, 2, 3, 4, 5, 6, 7, 9);
        Linear.forward(context, x, w, null, false, y);
        assertThat(y.item()).isEqualTo(7641);
        Tensor dtable = tensor(1, 2, 4).set(1, 0, 0, 0, 0, 0, 0, 0);
        Sketch.tableGradient(context, tensor(1, 1).set(2), x, w, dtable);
        assertThat(dtable.floats()).containsExactly(3, 0, 0, 20, 0, 200, 2000, 0);
        table.close();
        assertThat(w.isClosed()).isTrue();
    }
}
