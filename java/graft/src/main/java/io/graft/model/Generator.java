package io.graft.model;

import io.graft.nn.KvCache;
import io.graft.tensor.Scope;
import java.util.Arrays;
import java.util.function.IntPredicate;

/** Generates token by token with a cache of keys and values. One generator serves one sequence at a time. */
public final class Generator implements AutoCloseable {
    private final Llama model;
    private final String adapter;
    private final Workspace single;

    public Generator(Llama model) {
        this(model, null);
    }

    /** @param adapter which of the model's several adapters generates; null where it has not several */
    public Generator(Llama model, String adapter) {
        this.model = model;
        this.adapter = adapter;
        this.single = model.continuation();
    }

    /** The most likely continuation, exactly {@code count} tokens. */
    public int[] greedy(int[] prompt, int count) {
        return generate(prompt, count, Sampling.greedy(), token -> true);
    }

    /**
     * Continues a prompt by at most {@code count} tokens.
     *
     * @param accept sees each new token; false ends the generation, and that token is the last of the result
     */
    public int[] generate(int[] prompt, int count, Sampling sampling, IntPredicate accept) {
        if (prompt.length == 0) {
            throw new IllegalArgumentException("generate: the prompt has no tokens");
        }
        Sampler sampler = new Sampler(sampling);
        sampler.saw(prompt);
        int[] result = new int[count];
        int made = 0;
        try (KvCache cache = model.cache(prompt.length + count)) {
            float[] logits = count == 0 ? null : prompt(prompt, cache);
            while (made < count) {
                int token = sampler.next(logits);
                result[made++] = token;
                if (!accept.test(token) || made == count) {
                    break;
                }
                logits = step(single, new int[] {token}, cache);
            }
        }
        return Arrays.copyOf(result, made);
    }

    private float[] prompt(int[] prompt, KvCache cache) {
        try (Workspace work = model.beginning(prompt.length)) {
            return step(work, prompt, cache);
        }
    }

    private float[] step(Workspace work, int[] ids, KvCache cache) {
        work.choose(0, adapter);
        try (Scope step = model.scope().scope()) {
            return model.decode(work, step, ids, cache).floats();
        }
    }

    @Override
    public void close() {
        single.close();
    }
}
