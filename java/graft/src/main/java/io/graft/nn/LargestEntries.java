package io.graft.nn;

import io.graft.tensor.DType;
import io.graft.tensor.OnHost;
import io.graft.tensor.Tensor;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.List;

/**
 * The entries of largest magnitude of several matrices together, by counting the upper and then the lower half of their bits:
 * nothing is sorted or copied. Without their signs floats and their bits have one order.
 */
public final class LargestEntries {
    private static final int HALF = 1 << 16;
    private static final int BLOCK = 1 << 14;

    private final List<Tensor> scores;
    private final int least;
    private final long[] equal;

    private LargestEntries(List<Tensor> scores, int least, long[] equal) {
        this.scores = scores;
        this.least = least;
        this.equal = equal;
    }

    /**
     * @param scores fp32, contiguous
     * @param count how many entries, of equal ones the first
     */
    public static LargestEntries of(List<Tensor> scores, long count) {
        long[] upper = new long[HALF];
        scores.forEach(score -> each(score, bits -> upper[bits >>> 16]++));
        long[] left = {count};
        int high = last(upper, left);
        long[] lower = new long[HALF];
        scores.forEach(score -> each(score, bits -> lower[bits & (HALF - 1)] += bits >>> 16 == high ? 1 : 0));
        int least = high << 16 | last(lower, left);
        long[] equal = new long[scores.size()];
        for (int i = 0; i < equal.length; i++) {
            long[] same = {0};
            each(scores.get(i), bits -> same[0] += bits == least ? 1 : 0);
            equal[i] = Math.min(same[0], left[0]);
            left[0] -= equal[i];
        }
        return new LargestEntries(scores, least, equal);
    }

    /** The bin, from above, in which the entry that is the left[0]-th largest lies; left: how many of that bin. */
    private static int last(long[] bins, long[] left) {
        int bin = HALF - 1;
        while (bin > 0 && bins[bin] < left[0]) {
            left[0] -= bins[bin--];
        }
        return bin;
    }

    private interface Bits {
        void see(int bits);
    }

    private static void each(Tensor score, Bits seen) {
        if (score.dtype() != DType.F32) {
            throw new UnsupportedOperationException("entries are ranked by fp32 scores, not " + score.dtype());
        }
        try (OnHost values = OnHost.reading(score)) {
            each(values.floats(), seen);
        }
    }

    private static void each(FloatBuffer values, Bits seen) {
        float[] block = new float[BLOCK];
        while (values.hasRemaining()) {
            int length = Math.min(BLOCK, values.remaining());
            values.get(block, 0, length);
            for (int i = 0; i < length; i++) {
                seen.see(Float.floatToRawIntBits(block[i]) & Integer.MAX_VALUE);
            }
        }
    }

    /** The magnitude of the smallest chosen entry. */
    public float least() {
        return Float.intBitsToFloat(least);
    }

    /** The chosen entries of one of the matrices, {@code row · columns + column} in ascending order. */
    public long[] of(int index) {
        long[] chosen = new long[1024];
        int[] count = {0};
        long[] at = {0};
        long[] ties = {equal[index]};
        long[][] grown = {chosen};
        each(scores.get(index), bits -> {
            if (bits > least || bits == least && ties[0]-- > 0) {
                if (count[0] == grown[0].length) {
                    grown[0] = Arrays.copyOf(grown[0], 2 * count[0]);
                }
                grown[0][count[0]++] = at[0];
            }
            at[0]++;
        });
        return Arrays.copyOf(grown[0], count[0]);
    }
}
