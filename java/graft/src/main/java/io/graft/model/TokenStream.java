package io.graft.model;

import io.graft.nn.KvCache;
import io.graft.nn.PagePool;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.PrimitiveIterator;

/**
 * The tokens of one generation, each made when it is asked for; ends after so many, or when the caller closes it. Nothing else
 * may use the model in between.
 */
public final class TokenStream implements PrimitiveIterator.OfInt, AutoCloseable {
    private final Llama model;
    private final String adapter;
    private final Workspace single;
    private final Sampler sampler;
    private final KvCache cache;
    private final List<KvCache> caches;
    private final int[] next = new int[1];
    private final float[] logits;
    private final int[] prompt;
    private int left;
    private int last;
    private boolean started;

    /** @param single buffers for one token, which the caller closes */
    TokenStream(Llama model, String adapter, Workspace single, int[] prompt, int count, Sampling sampling) {
        this(model, adapter, single, prompt, count, sampling, null);
    }

    /** @param pool where keys and values go; null for memory of its own */
    TokenStream(
            Llama model, String adapter, Workspace single, int[] prompt, int count, Sampling sampling, PagePool pool) {
        if (prompt.length == 0) {
            throw new IllegalArgumentException("generate: the prompt has no tokens");
        }
        this.model = model;
        this.adapter = adapter;
        this.single = single;
        this.prompt = prompt.clone();
        this.left = count;
        this.sampler = new Sampler(sampling);
        sampler.saw(prompt);
        int tokens = prompt.length + count;
        this.cache =
                pool == null ? model.caches().alone(tokens) : model.caches().in(pool, tokens);
        this.caches = List.of(cache);
        this.logits = new float[model.config().vocabularySize()];
    }

    @Override
    public boolean hasNext() {
        return left > 0;
    }

    @Override
    public int nextInt() {
        if (left <= 0) {
            throw new NoSuchElementException("the generation has ended");
        }
        if (started) {
            next[0] = last;
            step(single, next);
        } else {
            first();
        }
        started = true;
        return next(logits);
    }

    private void first() {
        try (Workspace work = model.beginning(prompt.length)) {
            step(work, prompt);
        }
    }

    private void step(Workspace work, int[] ids) {
        work.choose(0, adapter);
        model.decode(work, ids, caches).floats(logits);
    }

    /** What the tokens so far are in, for a batch that goes on with it. */
    KvCache cache() {
        return cache;
    }

    /** Chooses the next token from logits that a batch made of the last one. */
    int next(float[] logits) {
        left--;
        last = sampler.next(logits);
        return last;
    }

    int last() {
        return last;
    }

    String adapter() {
        return adapter;
    }

    /** Ends the generation and frees its keys and values; idempotent. */
    @Override
    public void close() {
        left = 0;
        cache.close();
    }
}
