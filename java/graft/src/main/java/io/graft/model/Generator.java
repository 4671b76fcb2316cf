package io.graft.model;

import io.graft.nn.KvCache;
import io.graft.tensor.Scope;
import java.util.Arrays;
import java.util.SplittableRandom;
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

    /**
     * How the next token is chosen.
     *
     * @param temperature 0: the most likely one
     * @param topK how many of the most likely ones take part; 0: all
     * @param topP the smallest set of the most likely ones with this much probability takes part; 1: all
     */
    public record Sampling(double temperature, int topK, double topP, long seed) {
        public static Sampling greedy() {
            return new Sampling(0, 0, 1, 0);
        }
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
        SplittableRandom random = new SplittableRandom(sampling.seed());
        int[] result = new int[count];
        int made = 0;
        try (KvCache cache = model.cache(prompt.length + count)) {
            float[] logits = count == 0 ? null : prompt(prompt, cache);
            while (made < count) {
                int token = choose(logits, sampling, random);
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

    private static int choose(float[] logits, Sampling sampling, SplittableRandom random) {
        int best = 0;
        for (int i = 1; i < logits.length; i++) {
            if (logits[i] > logits[best]) {
                best = i;
            }
        }
        if (sampling.temperature() <= 0) {
            return best;
        }
        Integer[] order = new Integer[logits.length];
        Arrays.setAll(order, i -> i);
        Arrays.sort(order, (i, j) -> Float.compare(logits[j], logits[i]));
        int candidates = sampling.topK() > 0 ? Math.min(sampling.topK(), order.length) : order.length;
        double[] weight = new double[candidates];
        double sum = 0;
        for (int i = 0; i < candidates; i++) {
            weight[i] = Math.exp((logits[order[i]] - logits[best]) / sampling.temperature());
            sum += weight[i];
        }
        double kept = 0;
        int count = 0;
        while (count < candidates && kept < sampling.topP() * sum) {
            kept += weight[count++];
        }
        double target = random.nextDouble() * kept;
        for (int i = 0; i < count; i++) {
            target -= weight[i];
            if (target < 0) {
                return order[i];
            }
        }
        return order[Math.max(count - 1, 0)];
    }

    @Override
    public void close() {
        single.close();
    }
}
