package io.graft.model;

import io.graft.nn.KvCache;
import io.graft.nn.PagePool;
import io.graft.nn.Prefix;
import io.graft.nn.SideNetwork;

/** Makes the caches of a model's generations: with room for its virtual tokens, and with what stands before every sequence. */
final class Caches {
    private final Llama model;
    private final Prefix prefix;
    private final SideNetwork side;
    private final int virtualTokens;

    /** @param prefix keys and values that every sequence starts with, or null */
    Caches(Llama model, Prefix prefix, SideNetwork side, int virtualTokens) {
        this.model = model;
        this.prefix = prefix;
        this.side = side;
        this.virtualTokens = virtualTokens;
    }

    /** A cache for one sequence of at most {@code capacity} tokens, in a pool of its own. */
    KvCache alone(int capacity) {
        return started(KvCache.alone(pool(pages(capacity)), virtualTokens + capacity));
    }

    /** A cache in a pool that was made here, for one sequence of at most {@code capacity} tokens. */
    KvCache in(PagePool pool, int capacity) {
        return started(new KvCache(pool, virtualTokens + capacity));
    }

    /** Pages for many sequences. */
    PagePool pool(int pages) {
        PagePool pool = new PagePool(model.scope(), model.dtype(), model.shape(), model.layers(), pages, PagePool.PAGE);
        return side == null ? pool : pool.withSide(model.dtype(), side.shape());
    }

    /** How many pages a sequence of so many tokens takes. */
    int pages(int tokens) {
        long all = virtualTokens + (long) tokens;
        return Math.max(1, Math.toIntExact((all + PagePool.PAGE - 1) / PagePool.PAGE));
    }

    private KvCache started(KvCache cache) {
        if (prefix != null) {
            cache.start(model.scope(), prefix);
        }
        return cache;
    }
}
