package io.graft.cli;

import io.graft.model.Batch;
import io.graft.model.Llama;
import java.util.List;
import java.util.function.BooleanSupplier;

/**
 * Mean loss over all targets of some batches.
 *
 * @param loss nats per token
 * @param tokens real tokens that were read
 */
public record Evaluation(double loss, long tokens, double seconds) {
    public static Evaluation of(Output out, Llama llama, List<Batch> batches) {
        return of(out, llama, batches, () -> false);
    }

    /** @param stop asked after each batch; once it says yes, the result is null */
    static Evaluation of(Output out, Llama llama, List<Batch> batches, BooleanSupplier stop) {
        long started = System.nanoTime();
        double sum = 0;
        long targets = 0;
        long tokens = 0;
        try (Progress progress = new Progress(out, "eval", batches.size())) {
            for (int i = 0; i < batches.size(); i++) {
                Batch batch = batches.get(i);
                long count = llama.targets(batch);
                sum += llama.loss(batch) * (double) count;
                targets += count;
                tokens += batch.tokens();
                double seconds = (System.nanoTime() - started) * 1e-9;
                progress.update(
                        i + 1, sum / targets, tokens / seconds, llama.context().memory());
                if (stop.getAsBoolean()) {
                    return null;
                }
            }
        }
        return new Evaluation(sum / targets, tokens, (System.nanoTime() - started) * 1e-9);
    }

    public double perplexity() {
        return Math.exp(loss);
    }

    public double tokensPerSecond() {
        return tokens / seconds;
    }
}
