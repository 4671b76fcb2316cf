package io.graft.benchmarks.measure;

import io.graft.io.LlamaConfig;
import io.graft.model.Batch;
import io.graft.train.BatchSource;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Collectors;

/** Llamas of random numbers, with tied embeddings, that whole steps and generation are measured on. */
public enum WholeModel {
    M30("30m", 8192, 512, 8, 1408, 8, 8, 4, 256),
    M150("150m", 8192, 1024, 12, 2816, 16, 8, 4, 256),
    /** The shape of Llama 3.2 1B. */
    B1("1b", 128256, 2048, 16, 8192, 32, 8, 1, 64),
    /** So small that a benchmark only shows that it runs. */
    TINY("tiny", 512, 64, 2, 128, 4, 2, 2, 16);

    private static final int POSITIONS = 512;

    /** Ids below it have meanings in real vocabularies. */
    private static final int SPECIAL = 3;

    private final String title;
    private final LlamaConfig config;
    private final int rows;
    private final int length;

    WholeModel(
            String title,
            int vocabulary,
            int hidden,
            int layers,
            int intermediate,
            int heads,
            int kvHeads,
            int rows,
            int length) {
        this.title = title;
        this.rows = rows;
        this.length = length;
        this.config = LlamaConfig.llama(
                vocabulary, hidden, intermediate, layers, heads, kvHeads, hidden / heads, POSITIONS, 1e-6, true);
    }

    /** The model that is called so: {@code 30m}, {@code 150m}, {@code 1b} or {@code tiny}. */
    public static WholeModel of(String title) {
        return Arrays.stream(values())
                .filter(model -> model.title.equals(title))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("size is " + title + ", must be one of "
                        + Arrays.stream(values()).map(model -> model.title).collect(Collectors.joining(", "))));
    }

    public LlamaConfig config() {
        return config;
    }

    /** Tokens of a training step. */
    public int tokens() {
        return rows * length;
    }

    /** So many random token ids, the same each time. */
    public int[] ids(int count) {
        return new Random(0).ints(count, SPECIAL, config.vocabularySize()).toArray();
    }

    /** The rows of the batch that steps are measured on. */
    public int[][] rows() {
        int[] all = ids(tokens());
        int[][] split = new int[rows][];
        for (int i = 0; i < rows; i++) {
            split[i] = Arrays.copyOfRange(all, i * length, (i + 1) * length);
        }
        return split;
    }

    /** Always the same batch of random tokens. */
    public BatchSource batches() {
        return new SameBatch(rows, length, ids(rows * length));
    }

    private static final class SameBatch implements BatchSource {
        private final int rows;
        private final int length;
        private final int[] ids;
        private long position;

        SameBatch(int rows, int length, int[] ids) {
            this.rows = rows;
            this.length = length;
            this.ids = ids;
        }

        @Override
        public void next(Batch into) {
            into.resize(rows, length);
            System.arraycopy(ids, 0, into.ids(), 0, ids.length);
            System.arraycopy(ids, 0, into.labels(), 0, ids.length);
            position++;
        }

        @Override
        public long position() {
            return position;
        }

        @Override
        public void seek(long value) {
            position = value;
        }
    }
}
