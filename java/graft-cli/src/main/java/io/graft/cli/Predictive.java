package io.graft.cli;

import io.graft.model.Batch;
import io.graft.model.Llama;
import io.graft.train.Laplace;
import java.util.List;

/**
 * How well the mean prediction over draws from an adapter's posterior does, and whether it knows how well.
 *
 * @param loss nats per token, of the mean probability
 * @param accuracy share of targets that the mean finds likeliest
 * @param calibration expected calibration error: mean distance of confidence and accuracy over 15 bins of confidence
 * @param targets predictions that count
 */
record Predictive(double loss, double accuracy, double calibration, long targets) {
    private static final int BINS = 15;

    /** Means over so many draws; 0: what training found, without a posterior, which may be null then. */
    static Predictive of(Llama llama, List<Batch> batches, Laplace posterior, int draws) {
        double loss = 0;
        long right = 0;
        long targets = 0;
        double[] confidences = new double[BINS];
        double[] hits = new double[BINS];
        for (Batch batch : batches) {
            int length = batch.length();
            float[] mean = null;
            for (int draw = 0; draw < Math.max(1, draws); draw++) {
                if (draws > 0) {
                    posterior.draw(draw);
                }
                mean = add(llama.logits(batch), llama.config().vocabularySize(), Math.max(1, draws), mean);
            }
            int vocabulary = llama.config().vocabularySize();
            for (int i = 0; i < batch.batch() * length; i++) {
                int label = (i + 1) % length == 0 ? Batch.IGNORED : batch.labels()[i + 1];
                if (label == Batch.IGNORED) {
                    continue;
                }
                int likeliest = 0;
                for (int v = 1; v < vocabulary; v++) {
                    likeliest = mean[i * vocabulary + v] > mean[i * vocabulary + likeliest] ? v : likeliest;
                }
                float confidence = mean[i * vocabulary + likeliest];
                int bin = Math.min(BINS - 1, (int) (confidence * BINS));
                confidences[bin] += confidence;
                hits[bin] += likeliest == label ? 1 : 0;
                right += likeliest == label ? 1 : 0;
                loss -= Math.log(Math.max(mean[i * vocabulary + label], Float.MIN_NORMAL));
                targets++;
            }
        }
        if (draws > 0) {
            posterior.mean();
        }
        double error = 0;
        for (int bin = 0; bin < BINS; bin++) {
            error += Math.abs(confidences[bin] - hits[bin]);
        }
        return new Predictive(loss / targets, (double) right / targets, error / targets, targets);
    }

    /** mean += softmax(logits) / count, row by row. */
    private static float[] add(float[] logits, int vocabulary, int count, float[] mean) {
        float[] sum = mean == null ? new float[logits.length] : mean;
        for (int row = 0; row < logits.length; row += vocabulary) {
            double largest = Double.NEGATIVE_INFINITY;
            for (int v = 0; v < vocabulary; v++) {
                largest = Math.max(largest, logits[row + v]);
            }
            double total = 0;
            for (int v = 0; v < vocabulary; v++) {
                total += Math.exp(logits[row + v] - largest);
            }
            for (int v = 0; v < vocabulary; v++) {
                sum[row + v] += (float) (Math.exp(logits[row + v] - largest) / total / count);
            }
        }
        return sum;
    }
}
