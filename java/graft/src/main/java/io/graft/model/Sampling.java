package io.graft.model;

/**
 * How the next token is chosen, in the terms and the order of transformers: the penalty, temperature, top-k, top-p, min-p.
 *
 * @param temperature what logits are divided by; 0: the most likely token, whatever the rest says but for the penalty
 * @param topK how many of the most likely tokens take part; 0: all
 * @param topP the smallest set of the most likely tokens with this much probability takes part; 1: all
 * @param minP tokens take part that have this share of the likeliest one's probability (arXiv 2407.01082); 0: all
 * @param repetitionPenalty what the logits of tokens that were there before are divided by where positive, and multiplied
 *     by where negative (CTRL, arXiv 1909.05858, section 4.1); 1: nothing
 * @param seed same seed, same tokens
 */
public record Sampling(double temperature, int topK, double topP, double minP, double repetitionPenalty, long seed) {
    public Sampling {
        if (!(temperature >= 0 && temperature < Double.POSITIVE_INFINITY)) {
            throw refuse("temperature", temperature, "at least 0");
        }
        if (topK < 0) {
            throw refuse("topK", topK, "at least 0");
        }
        if (!(topP > 0 && topP <= 1)) {
            throw refuse("topP", topP, "in (0, 1]");
        }
        if (!(minP >= 0 && minP <= 1)) {
            throw refuse("minP", minP, "in [0, 1]");
        }
        if (!(repetitionPenalty > 0 && repetitionPenalty < Double.POSITIVE_INFINITY)) {
            throw refuse("repetitionPenalty", repetitionPenalty, "more than 0");
        }
    }

    public Sampling(double temperature, int topK, double topP, long seed) {
        this(temperature, topK, topP, 0, 1, seed);
    }

    /** Always the most likely token. */
    public static Sampling greedy() {
        return new Sampling(0, 0, 1, 0);
    }

    public Sampling withMinP(double value) {
        return new Sampling(temperature, topK, topP, value, repetitionPenalty, seed);
    }

    public Sampling withRepetitionPenalty(double value) {
        return new Sampling(temperature, topK, topP, minP, value, seed);
    }

    private static IllegalArgumentException refuse(String name, double value, String must) {
        return new IllegalArgumentException("Sampling: " + name + " is " + value + ", must be " + must);
    }
}
