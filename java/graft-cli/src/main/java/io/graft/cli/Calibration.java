package io.graft.cli;

import io.graft.adapter.Shira;
import io.graft.model.Batch;
import io.graft.model.Llama;
import io.graft.train.BatchSource;

/** What a method does with some examples before it trains: a mask by gradients is chosen. */
public final class Calibration {
    private Calibration() {}

    /** Runs single rows of the first batches through the model, where its adapter needs that; the source starts anew. */
    public static void run(Llama llama, BatchSource source, int samples) {
        if (!(llama.adapter() instanceof Shira shira) || !shira.needsCalibration()) {
            return;
        }
        Batch batch = new Batch();
        Batch row = new Batch();
        shira.calibrate(samples, i -> {
            int next = batch.batch() == 0 ? 0 : i % batch.batch();
            if (next == 0) {
                source.next(batch);
            }
            row.resize(1, batch.length());
            System.arraycopy(batch.ids(), next * batch.length(), row.ids(), 0, batch.length());
            System.arraycopy(batch.labels(), next * batch.length(), row.labels(), 0, batch.length());
            row.lengths()[0] = batch.lengths()[next];
            llama.lossAndGradients(row);
        });
        source.seek(0);
    }
}
