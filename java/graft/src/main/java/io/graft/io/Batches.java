package io.graft.io;

import java.util.Random;

/**
 * An endless sequence of batches from a dataset, shuffled anew in every epoch.
 *
 * <p>The order depends on seed and epoch alone, so that {@link #position} is all that a checkpoint needs: after
 * {@link #seek} the same batches follow. A batch may reach into the next epoch.
 */
public final class Batches {
    private final TextDataset dataset;
    private final int batchSize;
    private final long seed;
    private final boolean shuffle;
    private final int[] order;
    private long orderedEpoch = -1;
    private long position;

    /** Batches of {@code batchSize} blocks; without {@code shuffle} in the order of the text. */
    public Batches(TextDataset dataset, int batchSize, long seed, boolean shuffle) {
        if (batchSize < 1) {
            throw new IllegalArgumentException("batchSize is " + batchSize);
        }
        this.dataset = dataset;
        this.batchSize = batchSize;
        this.seed = seed;
        this.shuffle = shuffle;
        this.order = new int[dataset.blocks()];
    }

    /** Writes the next batch as [batchSize, blockLength], row-major: token ids, and labels that are shifted already. */
    public void next(int[] ids, int[] labels) {
        int length = dataset.blockLength();
        if (ids.length != batchSize * length || labels.length != ids.length) {
            throw new IllegalArgumentException("a batch takes " + batchSize * length + " ids and labels, not "
                    + ids.length + " and " + labels.length);
        }
        for (int row = 0; row < batchSize; row++) {
            long epoch = position / order.length;
            arrange(epoch);
            dataset.fill(order[(int) (position % order.length)], ids, labels, row * length);
            position++;
        }
    }

    /** Blocks in a batch. */
    public int batchSize() {
        return batchSize;
    }

    /** The dataset that the batches are from. */
    public TextDataset dataset() {
        return dataset;
    }

    /** Batches in an epoch, the last of which may reach into the next. */
    public long batchesPerEpoch() {
        return (order.length + batchSize - 1L) / batchSize;
    }

    /** The epoch of the next block, from 0. */
    public long epoch() {
        return position / order.length;
    }

    /** Blocks given out so far. */
    public long position() {
        return position;
    }

    /** Goes on as if {@code position} blocks had been given out. */
    public void seek(long position) {
        if (position < 0) {
            throw new IllegalArgumentException("position is " + position);
        }
        this.position = position;
    }

    private void arrange(long epoch) {
        if (epoch == orderedEpoch) {
            return;
        }
        for (int i = 0; i < order.length; i++) {
            order[i] = i;
        }
        Random random = new Random(seed + epoch * 0x9E3779B97F4A7C15L);
        for (int i = order.length - 1; shuffle && i > 0; i--) {
            int other = random.nextInt(i + 1);
            int block = order[i];
            order[i] = order[other];
            order[other] = block;
        }
        orderedEpoch = epoch;
    }
}
