package io.graft.cli;

import java.util.Arrays;
import java.util.Comparator;
import java.util.SplittableRandom;

/**
 * Chooses the next token from the logits: the best one at temperature 0, otherwise a random one among the top k whose
 * probabilities reach p together (nucleus). The same seed gives the same choices.
 */
final class Sampler {
    private final double temperature;
    private final int topK;
    private final double topP;
    private final SplittableRandom random;

    /** @param topK 0 for all; @param topP 1 for all */
    Sampler(double temperature, int topK, double topP, long seed) {
        this.temperature = temperature;
        this.topK = topK;
        this.topP = topP;
        this.random = new SplittableRandom(seed);
    }

    int choose(float[] logits) {
        if (temperature == 0) {
            return best(logits);
        }
        Integer[] order = new Integer[logits.length];
        Arrays.setAll(order, i -> i);
        Arrays.sort(order, Comparator.comparingDouble(i -> -logits[i]));
        int kept = topK > 0 ? Math.min(topK, order.length) : order.length;
        double[] weights = new double[kept];
        double sum = 0;
        for (int i = 0; i < kept; i++) {
            weights[i] = Math.exp((logits[order[i]] - logits[order[0]]) / temperature);
            sum += weights[i];
        }
        double within = 0;
        int nucleus = 0;
        while (nucleus < kept && (nucleus == 0 || within < topP * sum)) {
            within += weights[nucleus++];
        }
        double left = random.nextDouble() * within;
        for (int i = 0; i < nucleus - 1; i++) {
            left -= weights[i];
            if (left < 0) {
                return order[i];
            }
        }
        return order[nucleus - 1];
    }

    static int best(float[] logits) {
        int best = 0;
        for (int i = 1; i < logits.length; i++) {
            if (logits[i] > logits[best]) {
                best = i;
            }
        }
        return best;
    }
}
