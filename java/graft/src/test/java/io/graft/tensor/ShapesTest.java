package io.graft.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ShapesTest {
    @Test
    void contiguousMeansRowMajorWithoutGaps() {
        assertThat(Shapes.isContiguous(new long[] {2, 3}, new long[] {3, 1})).isTrue();
        assertThat(Shapes.isContiguous(new long[] {2, 3}, new long[] {4, 1})).isFalse();
        assertThat(Shapes.isContiguous(new long[] {1, 3}, new long[] {99, 1})).isTrue();
        assertThat(Shapes.isContiguous(new long[] {0, 3}, new long[] {99, 1})).isTrue();
        assertThat(Shapes.isContiguous(new long[] {}, new long[] {})).isTrue();
    }

    @Test
    void reshapeSplitsWhatHasGapsBetweenRows() {
        assertThat(Shapes.reshape(new long[] {6, 8}, new long[] {20, 1}, new long[] {2, 3, 4, 2}))
                .containsExactly(60, 20, 2, 1);
        assertThat(Shapes.reshape(new long[] {6, 8}, new long[] {20, 1}, new long[] {48}))
                .isNull();
        assertThat(Shapes.reshape(new long[] {6, 8}, new long[] {20, 1}, new long[] {3, 16}))
                .isNull();
        assertThat(Shapes.reshape(new long[] {2, 3, 8}, new long[] {60, 20, 1}, new long[] {6, 8}))
                .containsExactly(20, 1);
        assertThat(Shapes.reshape(new long[] {6, 8}, new long[] {8, 1}, new long[] {47}))
                .isNull();
    }

    @Test
    void reshapeKeepsTheOrderOfTheElements() {
        Random random = new Random(20260101);
        int possible = 0;
        for (int round = 0; round < 5000; round++) {
            long[] shape = randomShape(random);
            long[] strides = randomStrides(random, shape);
            long[] newShape = regroup(random, Shapes.elements(shape));
            long[] newStrides = Shapes.reshape(shape, strides, newShape);
            if (newStrides != null) {
                possible++;
                assertThat(offsets(newShape, newStrides)).isEqualTo(offsets(shape, strides));
            }
        }
        assertThat(possible).isGreaterThan(1000);
    }

    private static long[] randomShape(Random random) {
        long[] shape = new long[1 + random.nextInt(4)];
        for (int i = 0; i < shape.length; i++) {
            shape[i] = 1 + random.nextInt(4);
        }
        return shape;
    }

    private static long[] randomStrides(Random random, long[] shape) {
        long[] strides = new long[shape.length];
        long step = 1;
        for (int i = shape.length - 1; i >= 0; i--) {
            strides[i] = step;
            step = step * shape[i] + (random.nextInt(3) == 0 ? random.nextInt(5) : 0);
        }
        return strides;
    }

    /** A random factorisation of a number of elements. */
    private static long[] regroup(Random random, long elements) {
        List<Long> sizes = new ArrayList<>();
        long rest = elements;
        while (rest > 1) {
            long factor = 2 + random.nextInt((int) rest - 1);
            if (rest % factor == 0) {
                sizes.add(factor);
                rest /= factor;
            } else if (random.nextInt(10) == 0) {
                sizes.add(1L);
            }
        }
        if (sizes.isEmpty()) {
            sizes.add(1L);
        }
        return sizes.stream().mapToLong(Long::longValue).toArray();
    }

    /** Where the elements lie, in row-major order. */
    private static List<Long> offsets(long[] shape, long[] strides) {
        List<Long> offsets = List.of(0L);
        for (int i = 0; i < shape.length; i++) {
            List<Long> longer = new ArrayList<>();
            for (long offset : offsets) {
                for (long index = 0; index < shape[i]; index++) {
                    longer.add(offset + index * strides[i]);
                }
            }
            offsets = longer;
        }
        return offsets;
    }
}
