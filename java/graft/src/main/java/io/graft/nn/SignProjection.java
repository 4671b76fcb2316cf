package io.graft.nn;

import io.graft.tensor.DType;
import io.graft.tensor.OnHost;
import io.graft.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/**
 * A random map P of d numbers onto a matrix that no memory holds: every entry of the matrix is one of the numbers, or its
 * opposite, which one a hash of seed and place says (a sparse embedding: Clarkson and Woodruff, arXiv 1207.6365, section 2).
 * Multiplied by √(d / entries) it keeps lengths in the mean.
 */
final class SignProjection {
    /** why: sums are made in so many parts of rows for any number of threads, so that their bits do not depend on it. */
    private static final int PARTS = 16;

    private final long seed;
    private final int rows;
    private final int columns;

    SignProjection(long seed, long rows, long columns) {
        this.seed = seed;
        this.rows = Math.toIntExact(rows);
        this.columns = Math.toIntExact(columns);
    }

    /** The mixer of SplitMix64. */
    private long hash(long place) {
        long z = seed + place * 0x9E3779B97F4A7C15L;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    private static int number(long hash, int d) {
        return (int) ((hash >>> 33) * d >>> 31);
    }

    private static double sign(long hash) {
        return 1 - 2 * (hash & 1);
    }

    private void each(IntConsumer part) {
        IntStream.range(0, PARTS).parallel().forEach(part);
    }

    private int first(int part) {
        return (int) ((long) rows * part / PARTS);
    }

    /** y [rows, columns] = scale · P theta; y f32 or f64, without gaps. */
    void expand(double[] theta, double scale, Tensor y) {
        try (OnHost values = OnHost.writing(y)) {
            expand(theta, scale, values.buffer(), y.dtype() == DType.F64);
        }
    }

    private void expand(double[] theta, double scale, ByteBuffer memory, boolean wide) {
        each(part -> {
            FloatBuffer floats = wide ? null : memory.asFloatBuffer();
            DoubleBuffer doubles = wide ? memory.asDoubleBuffer() : null;
            for (long at = (long) first(part) * columns; at < (long) first(part + 1) * columns; at++) {
                long hash = hash(at);
                double value = scale * sign(hash) * theta[number(hash, theta.length)];
                if (wide) {
                    doubles.put((int) at, value);
                } else {
                    floats.put((int) at, (float) value);
                }
            }
        });
    }

    /** sum += Pᵀ g for g [rows, columns], f32 or f64, without gaps. */
    void gather(Tensor g, double[] sum) {
        try (OnHost values = OnHost.reading(g)) {
            gather(values.buffer(), g.dtype() == DType.F64, sum);
        }
    }

    private void gather(ByteBuffer memory, boolean wide, double[] sum) {
        double[][] sums = new double[PARTS][];
        each(part -> {
            FloatBuffer floats = wide ? null : memory.asFloatBuffer();
            DoubleBuffer doubles = wide ? memory.asDoubleBuffer() : null;
            double[] own = new double[sum.length];
            for (long at = (long) first(part) * columns; at < (long) first(part + 1) * columns; at++) {
                long hash = hash(at);
                own[number(hash, own.length)] += sign(hash) * (wide ? doubles.get((int) at) : floats.get((int) at));
            }
            sums[part] = own;
        });
        for (double[] own : sums) {
            for (int i = 0; i < sum.length; i++) {
                sum[i] += own[i];
            }
        }
    }
}
