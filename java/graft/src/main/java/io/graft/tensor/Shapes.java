package io.graft.tensor;

import java.util.stream.IntStream;

/** Index arithmetic of strided views. */
final class Shapes {
    private Shapes() {}

    static long elements(long[] shape) {
        long count = 1;
        for (long size : shape) {
            count = Math.multiplyExact(count, size);
        }
        return count;
    }

    static long[] contiguous(long[] shape) {
        long[] strides = new long[shape.length];
        long step = 1;
        for (int i = shape.length - 1; i >= 0; i--) {
            strides[i] = step;
            step *= Math.max(shape[i], 1);
        }
        return strides;
    }

    static boolean isContiguous(long[] shape, long[] strides) {
        long step = 1;
        for (int i = shape.length - 1; i >= 0; i--) {
            if (shape[i] == 0) {
                return true;
            }
            if (shape[i] != 1 && strides[i] != step) {
                return false;
            }
            step *= shape[i];
        }
        return true;
    }

    /**
     * Strides under which the elements of the old view appear in the new shape, or null when a copy would be needed.
     * Runs of old dimensions that lie densely are merged, then cut anew.
     */
    static long[] reshape(long[] shape, long[] strides, long[] newShape) {
        if (elements(shape) != elements(newShape)) {
            return null;
        }
        if (isContiguous(shape, strides)) {
            return contiguous(newShape);
        }
        // why: a dimension of size 1 may have any stride, which says nothing about where elements lie.
        int[] real = IntStream.range(0, shape.length).filter(i -> shape[i] != 1).toArray();
        long[] newStrides = new long[newShape.length];
        int made = newShape.length - 1;
        int last = real.length - 1;
        while (last >= 0) {
            int first = last;
            long run = shape[real[last]];
            while (first > 0 && strides[real[first - 1]] == strides[real[first]] * shape[real[first]]) {
                first--;
                run *= shape[real[first]];
            }
            long step = strides[real[last]];
            long cut = 1;
            while (made >= 0 && (cut < run || newShape[made] == 1)) {
                newStrides[made] = step;
                step *= newShape[made];
                cut *= newShape[made];
                made--;
            }
            if (cut != run) {
                return null;
            }
            last = first - 1;
        }
        while (made >= 0) {
            newStrides[made--] = 1;
        }
        return newStrides;
    }
}
