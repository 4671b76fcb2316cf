package io.graft.model;

import java.util.Arrays;
import java.util.BitSet;
import java.util.SplittableRandom;

/** Chooses the tokens of one sequence from their logits, as {@link Sampling} says. Takes no memory after its first token. */
final class Sampler {
    private final Sampling sampling;
    private final SplittableRandom random;
    private final BitSet seen = new BitSet();
    private long[] order = new long[0];
    private double[] weights = new double[0];

    Sampler(Sampling sampling) {
        this.sampling = sampling;
        this.random = new SplittableRandom(sampling.seed());
    }

    /** Tokens that were there before, of which the penalty makes repetition less likely. */
    void saw(int... tokens) {
        if (sampling.repetitionPenalty() != 1) {
            for (int token : tokens) {
                seen.set(token);
            }
        }
    }

    /** The next token, which has been seen then. The logits are changed where tokens are penalised. */
    int next(float[] logits) {
        penalise(logits);
        int token = sampling.temperature() == 0 ? likeliest(logits) : draw(logits);
        saw(token);
        return token;
    }

    /** What {@link #next} draws from, by token. */
    double[] probabilities(float[] logits) {
        penalise(logits);
        double[] result = new double[logits.length];
        if (sampling.temperature() == 0) {
            result[likeliest(logits)] = 1;
            return result;
        }
        int count = candidates(logits);
        double sum = Arrays.stream(weights, 0, count).sum();
        for (int i = 0; i < count; i++) {
            result[token(i)] = weights[i] / sum;
        }
        return result;
    }

    private void penalise(float[] logits) {
        float penalty = (float) sampling.repetitionPenalty();
        for (int token = seen.nextSetBit(0); token >= 0; token = seen.nextSetBit(token + 1)) {
            logits[token] = logits[token] < 0 ? logits[token] * penalty : logits[token] / penalty;
        }
    }

    private static int likeliest(float[] logits) {
        int best = 0;
        for (int i = 1; i < logits.length; i++) {
            if (logits[i] > logits[best]) {
                best = i;
            }
        }
        return best;
    }

    private int draw(float[] logits) {
        int count = candidates(logits);
        double target = random.nextDouble() * Arrays.stream(weights, 0, count).sum();
        for (int i = 0; i < count; i++) {
            target -= weights[i];
            if (target < 0) {
                return token(i);
            }
        }
        return token(count - 1);
    }

    /** Orders tokens from the likeliest down and gives those that take part weights; how many they are, at least one. */
    private int candidates(float[] logits) {
        sort(logits);
        int count = sampling.topK() > 0 ? Math.min(sampling.topK(), logits.length) : logits.length;
        double largest = logits[token(0)];
        double sum = 0;
        for (int i = 0; i < count; i++) {
            weights[i] = Math.exp((logits[token(i)] - largest) / sampling.temperature());
            sum += weights[i];
        }
        double kept = 0;
        int most = 0;
        while (most < count && (most == 0 || kept < sampling.topP() * sum && weights[most] >= sampling.minP())) {
            kept += weights[most++];
        }
        return most;
    }

    /** why longs: a logit's bits, made to fall as it rises, above the token sort as numbers do, without objects. */
    private void sort(float[] logits) {
        if (order.length != logits.length) {
            order = new long[logits.length];
            weights = new double[logits.length];
        }
        for (int i = 0; i < logits.length; i++) {
            int bits = Float.floatToIntBits(logits[i] + 0.0f);
            int rising = bits < 0 ? bits ^ Integer.MAX_VALUE : bits;
            order[i] = (long) ~rising << Integer.SIZE | i;
        }
        Arrays.sort(order);
    }

    private int token(int place) {
        return (int) order[place];
    }
}
