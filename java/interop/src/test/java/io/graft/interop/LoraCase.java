package io.graft.interop;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.ops.LoraLinear;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.Map;
import java.util.Random;

/**
 * A LoRA layer's inputs, its results in float64, and how far from those plain loops in fp32 are: twice that is the bound for
 * Graft and for a framework's composition, which so agree with each other.
 */
final class LoraCase {
    static final int T = 37;
    static final int K = 96;
    static final int N = 53;
    static final int R = 6;
    static final double SCALE = 1.5;

    private final Random random = new Random(1);
    final float[] x = normal(T * K);
    final float[] w = normal(N * K);
    final float[] a = normal(R * K);
    final float[] b = normal(N * R);
    final float[] dy = normal(T * N);

    private final Map<String, double[]> exact = results(false);
    private final Map<String, double[]> naive = results(true);

    /** Forward, and backward into zeroed da and db, on tensors of anybody's memory. */
    static void run(
            Context context,
            Tensor x,
            Weight w,
            Tensor a,
            Tensor b,
            Tensor dy,
            Tensor y,
            Tensor s,
            Tensor dx,
            Tensor da,
            Tensor db) {
        LoraLinear.forward(context, x, w, a, b, SCALE, null, 0, 0, 0, false, y, s);
        LoraLinear.backward(context, dy, x, s, w, a, b, SCALE, 0, 0, 0, false, dx, da, db, null);
    }

    /** Holds y [T, N], dx [T, K], da [R, K] or db [N, R] against float64. */
    void check(String who, String result, float[] values) {
        double[] expected = exact.get(result);
        double bound = 2 * distance(naive.get(result), expected);
        double[] actual = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            actual[i] = values[i];
        }
        assertThat(distance(actual, expected)).as(who + ": " + result).isLessThanOrEqualTo(bound);
    }

    private static double distance(double[] values, double[] expected) {
        assertThat(values).hasSameSizeAs(expected);
        double most = 0;
        for (int i = 0; i < values.length; i++) {
            most = Math.max(most, Math.abs(values[i] - expected[i]));
        }
        return most;
    }

    private Map<String, double[]> results(boolean fp32) {
        double[] wideX = wide(x);
        double[] wideW = wide(w);
        double[] wideA = wide(a);
        double[] wideB = wide(b);
        double[] wideDy = wide(dy);
        double[] s = product(fp32, 1, wideX, K, 1, wideA, 1, K, T, K, R, null);
        double[] ds = product(fp32, SCALE, wideDy, N, 1, wideB, R, 1, T, N, R, null);
        double[] frozen = product(fp32, 1, wideX, K, 1, wideW, 1, K, T, K, N, null);
        double[] through = product(fp32, 1, wideDy, N, 1, wideW, K, 1, T, N, K, null);
        return Map.of(
                "y", product(fp32, SCALE, s, R, 1, wideB, 1, R, T, R, N, frozen),
                "dx", product(fp32, 1, ds, R, 1, wideA, K, 1, T, R, K, through),
                "da", product(fp32, 1, ds, 1, R, wideX, K, 1, R, T, K, null),
                "db", product(fp32, SCALE, wideDy, 1, N, s, R, 1, N, T, R, null));
    }

    /** scale · P Q + C for P [rows, inner] and Q [inner, columns] of these strides, each step rounded to fp32 if asked. */
    private static double[] product(
            boolean fp32,
            double scale,
            double[] p,
            int pRow,
            int pColumn,
            double[] q,
            int qRow,
            int qColumn,
            int rows,
            int inner,
            int columns,
            double[] c) {
        double[] out = new double[rows * columns];
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                double sum = 0;
                for (int k = 0; k < inner; k++) {
                    double term = round(fp32, p[i * pRow + k * pColumn] * q[k * qRow + j * qColumn]);
                    sum = round(fp32, sum + term);
                }
                sum = round(fp32, scale * sum);
                out[i * columns + j] = c == null ? sum : round(fp32, c[i * columns + j] + sum);
            }
        }
        return out;
    }

    private static double round(boolean fp32, double value) {
        return fp32 ? (float) value : value;
    }

    private static double[] wide(float[] values) {
        double[] wide = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            wide[i] = values[i];
        }
        return wide;
    }

    private float[] normal(int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }
}
