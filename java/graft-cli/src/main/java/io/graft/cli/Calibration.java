package io.graft.cli;

import io.graft.model.Batch;
import io.graft.model.Llama;
import io.graft.train.BatchSource;

/** What a method does with some examples before it trains: entries are chosen, or factors made. */
public final class Calibration {
    private Calibration() {}

    /** Runs single rows of the first batches through the model, where its adapter needs that; the source starts anew. */
    public static void run(Llama llama, BatchSource source, int samples) {
        Batch batch = new Batch();
        Batch row = new Batch();
        llama.calibrate(samples, i -> {
            int next = batch.batch() == 0 ? 0 : i % batch.batch();
            if (next == 0) {
                source.next(batch);
            }
            row.takeRow(batch, next);
            return row;
        });
        source.seek(0);
    }
}
