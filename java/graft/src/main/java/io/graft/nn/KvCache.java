package io.graft.nn;

import io.graft.ops.Rows;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Mirror;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.Arrays;
import java.util.List;

/**
 * Keys (already rotated) and values of all earlier tokens of one sequence, in pages of a pool. It takes the pages of all its
 * tokens when it is made, so that no sequence ever stands still for want of one, and gives them back when it is closed.
 */
public final class KvCache implements AutoCloseable {
    private final PagePool pool;
    private final boolean owner;
    private final int capacity;
    private int[] pages;
    private int length;

    /** @param capacity tokens at most */
    public KvCache(PagePool pool, int capacity) {
        this(pool, capacity, false);
    }

    private KvCache(PagePool pool, int capacity, boolean owner) {
        this.pool = pool;
        this.capacity = capacity;
        this.owner = owner;
        this.pages = pool.take(pool.pagesOf(capacity));
    }

    /** A cache that is alone in its pool, and closes it. */
    public static KvCache alone(PagePool pool, int capacity) {
        return new KvCache(pool, capacity, true);
    }

    /**
     * The tokens that some sequences get in one step: where they go, and what attention then reads. Made once for so many
     * sequences and tokens, and set anew for each step, which makes no garbage but when a sequence comes to its next page.
     */
    public static final class Step {
        private final Scope scope;
        private final int rows;
        private final int added;
        private final Mirror lengths;
        private final Mirror places;
        /** The pages of each row as they are in the table; compared by identity, since a cache never gets others. */
        private final int[][] listed;

        private Scope table;
        private Mirror pages;
        private int width;
        private PagePool pool;

        /** @param added tokens that each of the sequences gets */
        public Step(Scope scope, int rows, int added) {
            this.scope = scope;
            this.rows = rows;
            this.added = added;
            lengths = new Mirror(scope.tensor(Memory.ACTIVATION, DType.I32, rows));
            places = new Mirror(scope.tensor(Memory.ACTIVATION, DType.I32, (long) rows * added));
            listed = new int[rows][];
        }

        private Step(Step same, PagePool pool) {
            scope = same.scope;
            rows = same.rows;
            added = same.added;
            lengths = same.lengths;
            places = same.places;
            listed = same.listed;
            pages = same.pages;
            width = same.width;
            this.pool = pool;
        }

        /**
         * Makes room in sequences of one pool, behind what they hold; call {@link #advance} of each when the tokens are
         * written. Returns this.
         */
        public Step of(List<KvCache> caches) {
            pool = caches.get(0).pool;
            int most = 0;
            for (int row = 0; row < rows; row++) {
                caches.get(row).expect(pool, added);
                most = Math.max(most, pool.pagesOf(caches.get(row).length + added));
            }
            reserve(most);
            for (int row = 0; row < rows; row++) {
                KvCache cache = caches.get(row);
                lengths.ints().put(row, cache.length + added);
                for (int i = 0; i < added; i++) {
                    int token = cache.length + i;
                    int page = cache.pages[token / pool.size()];
                    places.ints().put(row * added + i, page * pool.size() + token % pool.size());
                }
                list(row, cache.pages);
            }
            return this;
        }

        private void list(int row, int[] all) {
            if (listed[row] == all) {
                return;
            }
            for (int i = 0; i < width; i++) {
                pages.ints().put(row * width + i, i < all.length ? all[i] : 0);
            }
            listed[row] = all;
        }

        private void reserve(int most) {
            if (pages != null && most <= width) {
                return;
            }
            if (table != null) {
                table.close();
            }
            table = scope.scope();
            pages = new Mirror(table.tensor(Memory.ACTIVATION, DType.I32, rows, most));
            width = most;
            Arrays.fill(listed, null);
        }

        /** The same tokens for the network beside the blocks; null where there is none. */
        public Step side() {
            return pool.side() == null ? null : new Step(this, pool.side());
        }

        /** The pages of each sequence [B, M] i32. */
        Tensor pages() {
            return pages.tensor();
        }

        /** Tokens of each sequence [B] i32, the new ones among them. */
        Tensor lengths() {
            return lengths.tensor();
        }

        /** A layer's keys in pages. */
        Tensor keys(int layer) {
            return pool.keys(layer);
        }

        /** A layer's values in pages. */
        Tensor values(int layer) {
            return pool.values(layer);
        }

        /** Puts the new keys and values [B · added, Hk · D] of a layer behind those before them. */
        void write(Context context, int layer, Tensor keys, Tensor values) {
            Rows.write(context, null, keys, places.tensor(), pool.keyRows(layer));
            Rows.write(context, null, values, places.tensor(), pool.valueRows(layer));
        }
    }

    private void expect(PagePool all, int added) {
        if (pages == null) {
            throw new IllegalStateException("KvCache.Step: the cache is closed");
        }
        if (pool != all) {
            throw new IllegalArgumentException("KvCache.Step: the sequences are in different pools");
        }
        if (added > capacity - length) {
            throw new IllegalArgumentException(
                    "KvCache.Step: " + length + " + " + added + " tokens exceed the capacity " + capacity);
        }
    }

    /** Puts a prefix in front of the tokens to come; the cache must be empty. */
    public void start(Scope parent, Prefix prefix) {
        try (Scope scope = parent.scope()) {
            Step step = new Step(scope, 1, prefix.length()).of(List.of(this));
            for (int i = 0; i < prefix.layers(); i++) {
                step.write(scope.context(), i, prefix.keys(scope, i), prefix.values(scope, i));
            }
        }
        advance(prefix.length());
    }

    public void advance(int added) {
        length += added;
    }

    /** Tokens held. */
    public int length() {
        return length;
    }

    public int capacity() {
        return capacity;
    }

    /** Forgets all tokens. */
    public void clear() {
        length = 0;
    }

    /** Gives the pages back; idempotent. */
    @Override
    public void close() {
        if (pages == null) {
            return;
        }
        pool.give(pages);
        pages = null;
        if (owner) {
            pool.close();
        }
    }
}
