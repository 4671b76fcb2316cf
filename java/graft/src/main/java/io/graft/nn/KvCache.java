package io.graft.nn;

import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
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

    /** The tokens that some sequences get in one step: where they go, and what attention then reads. */
    public static final class Step {
        private final List<KvCache> caches;
        private final PagePool pool;
        private final int added;
        private final Scope scope;
        private final Tensor pages;
        private final Tensor lengths;

        private Step(Scope scope, List<KvCache> caches, PagePool pool, int added, Tensor pages, Tensor lengths) {
            this.scope = scope;
            this.caches = caches;
            this.pool = pool;
            this.added = added;
            this.pages = pages;
            this.lengths = lengths;
        }

        /** The same tokens for the network beside the blocks; null where there is none. */
        public Step side() {
            return pool.side() == null ? null : new Step(scope, caches, pool.side(), added, pages, lengths);
        }

        /** The pages of each sequence [B, M] i32. */
        Tensor pages() {
            return pages;
        }

        /** Tokens of each sequence [B] i32, the new ones among them. */
        Tensor lengths() {
            return lengths;
        }

        /** A layer's keys in pages. */
        Tensor keys(int layer) {
            return pool.keys(layer);
        }

        /** A layer's values in pages. */
        Tensor values(int layer) {
            return pool.values(layer);
        }

        /** Puts the new keys and values [B, added, Hk, D] of a layer behind those before them. */
        void write(Context context, int layer, Tensor keys, Tensor values) {
            for (int row = 0; row < caches.size(); row++) {
                KvCache cache = caches.get(row);
                for (int from = 0; from < added; ) {
                    int token = cache.length + from;
                    int place = token % pool.size();
                    int count = Math.min(added - from, pool.size() - place);
                    int page = cache.pages[token / pool.size()];
                    move(context, keys, row, from, pool.keys(layer), page, place, count);
                    move(context, values, row, from, pool.values(layer), page, place, count);
                    from += count;
                }
            }
        }

        private void move(
                Context context, Tensor from, int row, int token, Tensor into, int page, int place, int count) {
            TensorOps.copy(context, part(from, row, token, count), part(into, page, place, count));
        }

        /** Tokens [1, count, Hk, D] of one row or page. */
        private Tensor part(Tensor whole, int block, int token, int count) {
            long[] shape = {1, count, whole.size(2), whole.size(3)};
            return scope.view(whole, block * whole.stride(0) + token * whole.stride(1), shape, whole.strides());
        }
    }

    /**
     * Makes room for {@code added} tokens of each of some sequences of one pool, behind those held; call {@link #advance} of
     * each when they are written. What is made lives as long as the scope.
     */
    public static Step step(Scope scope, List<KvCache> caches, int added) {
        PagePool pool = caches.get(0).pool;
        int most = 0;
        int[] lengths = new int[caches.size()];
        for (int row = 0; row < lengths.length; row++) {
            KvCache cache = caches.get(row);
            cache.expect(pool, added);
            lengths[row] = cache.length + added;
            most = Math.max(most, pool.pagesOf(lengths[row]));
        }
        int[] table = new int[lengths.length * most];
        for (int row = 0; row < lengths.length; row++) {
            int[] own = caches.get(row).pages;
            System.arraycopy(own, 0, table, row * most, Math.min(most, own.length));
        }
        Tensor pages =
                scope.tensor(Memory.ACTIVATION, DType.I32, lengths.length, most).set(table);
        Tensor counts =
                scope.tensor(Memory.ACTIVATION, DType.I32, lengths.length).set(lengths);
        return new Step(scope, caches, pool, added, pages, counts);
    }

    private void expect(PagePool all, int added) {
        if (pages == null) {
            throw new IllegalStateException("KvCache.step: the cache is closed");
        }
        if (pool != all) {
            throw new IllegalArgumentException("KvCache.step: the sequences are in different pools");
        }
        if (added > capacity - length) {
            throw new IllegalArgumentException(
                    "KvCache.step: " + length + " + " + added + " tokens exceed the capacity " + capacity);
        }
    }

    /** Puts a prefix in front of the tokens to come; the cache must be empty. */
    public void start(Scope parent, Prefix prefix) {
        try (Scope scope = parent.scope()) {
            Step step = step(scope, List.of(this), prefix.length());
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
