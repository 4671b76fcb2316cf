package io.graft.model;

import java.util.Arrays;
import java.util.concurrent.Executor;
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
        this.single = model.continuation(1);
    }

    /** The most likely continuation, exactly {@code count} tokens. */
    public int[] greedy(int[] prompt, int count) {
        return generate(prompt, count, Sampling.greedy(), token -> true);
    }

    /** The tokens that continue a prompt, at most {@code count}, as they are asked for; to be closed. */
    public TokenStream stream(int[] prompt, int count, Sampling sampling) {
        return new TokenStream(model, adapter, single, prompt, count, sampling);
    }

    /**
     * The same tokens for a subscriber, which asks for so many at a time and may cancel.
     *
     * @param executor where tokens are made, one after the other; nothing else may use the model meanwhile
     */
    public TokenPublisher publisher(int[] prompt, int count, Sampling sampling, Executor executor) {
        int[] tokens = prompt.clone();
        return new TokenPublisher(() -> stream(tokens, count, sampling), executor);
    }

    /**
     * Continues a prompt by at most {@code count} tokens.
     *
     * @param accept sees each new token; false ends the generation, and that token is the last of the result
     */
    public int[] generate(int[] prompt, int count, Sampling sampling, IntPredicate accept) {
        int[] result = new int[count];
        int made = 0;
        try (TokenStream tokens = stream(prompt, count, sampling)) {
            while (tokens.hasNext()) {
                int token = tokens.nextInt();
                result[made++] = token;
                if (!accept.test(token)) {
                    break;
                }
            }
        }
        return Arrays.copyOf(result, made);
    }

    @Override
    public void close() {
        single.close();
    }
}
