package io.graft.train;

import io.graft.model.Batch;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Batches from a list of examples, in another order each epoch. The order depends on the seed and the epoch alone, so
 * that a position says all there is to know for a resume. Rows are cut at {@code maxLength} and padded on the right to a
 * multiple of {@code lengthMultiple}: few different shapes keep the model's buffers alive from step to step. Of the list no
 * more than a batch is held, so that one that reads its elements from a file may be larger than memory.
 */
public final class ExampleBatches implements BatchSource {
    private final List<Example> examples;
    private final int batchSize;
    private final int maxLength;
    private final int lengthMultiple;
    private final long seed;
    private final int[] order;
    private final Example[] rows;
    private long orderedEpoch = -1;
    private long position;

    public ExampleBatches(List<Example> examples, int batchSize, int maxLength, int lengthMultiple, long seed) {
        if (examples.isEmpty() || batchSize < 1 || maxLength < 2 || lengthMultiple < 1) {
            throw new IllegalArgumentException("ExampleBatches: " + examples.size() + " examples, batch size "
                    + batchSize + ", longest " + maxLength + ", multiple " + lengthMultiple);
        }
        this.examples = examples;
        this.batchSize = batchSize;
        this.maxLength = maxLength;
        this.lengthMultiple = lengthMultiple;
        this.seed = seed;
        this.order = new int[examples.size()];
        this.rows = new Example[batchSize];
    }

    @Override
    public void next(Batch into) {
        long first = position * batchSize;
        int longest = 0;
        for (int row = 0; row < batchSize; row++) {
            rows[row] = example(first + row);
            longest = Math.max(longest, Math.min(rows[row].ids().length, maxLength));
        }
        int padded = (longest + lengthMultiple - 1) / lengthMultiple * lengthMultiple;
        into.resize(batchSize, Math.min(padded, maxLength));
        for (int row = 0; row < batchSize; row++) {
            rows[row].fill(into, row);
        }
        position++;
    }

    /** Number of batches in an epoch, rounded up. */
    public long batchesPerEpoch() {
        return (examples.size() + batchSize - 1) / batchSize;
    }

    private Example example(long index) {
        long epoch = index / order.length;
        if (epoch != orderedEpoch) {
            shuffle(epoch);
        }
        return examples.get(order[(int) (index % order.length)]);
    }

    private void shuffle(long epoch) {
        SplittableRandom random = new SplittableRandom(seed * 0x9E3779B97F4A7C15L + epoch);
        for (int i = 0; i < order.length; i++) {
            order[i] = i;
        }
        for (int i = order.length - 1; i > 0; i--) {
            int j = random.nextInt(i + 1);
            int swapped = order[i];
            order[i] = order[j];
            order[j] = swapped;
        }
        orderedEpoch = epoch;
    }

    @Override
    public long position() {
        return position;
    }

    @Override
    public void seek(long newPosition) {
        position = newPosition;
    }
}
