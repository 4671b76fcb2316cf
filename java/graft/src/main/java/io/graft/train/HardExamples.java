package io.graft.train;

import io.graft.model.Batch;
import io.graft.model.Llama;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** The rows of the last batches that a model predicts worst, as batches of one row. */
final class HardExamples {
    private record Row(Batch batch, float loss) {}

    private HardExamples() {}

    /**
     * Runs the batches once more, without gradients; the source is where it was afterwards.
     *
     * @param batches how many of the last ones, or as many as there were
     * @param count rows with the largest mean losses, of equal ones the first
     */
    static List<Batch> of(Llama model, BatchSource source, long batches, int count) {
        long end = source.position();
        source.seek(Math.max(0, end - batches));
        List<Row> hardest = new ArrayList<>();
        Batch batch = new Batch();
        Batch row = new Batch();
        while (source.position() < end) {
            source.next(batch);
            for (int i = 0; i < batch.batch(); i++) {
                row.takeRow(batch, i);
                if (model.targets(row) > 0) {
                    hardest.add(new Row(row, model.loss(row)));
                    hardest.sort(Comparator.comparingDouble(one -> -one.loss()));
                    row = hardest.size() > count ? hardest.remove(count).batch() : new Batch();
                }
            }
        }
        return hardest.stream().map(Row::batch).toList();
    }
}
