package io.graft.cli;

import io.graft.io.TextDataset;
import io.graft.model.Batch;
import io.graft.train.Example;
import java.util.ArrayList;
import java.util.List;

/** Blocks of a {@link TextDataset} in the forms that training and evaluation take. */
public final class TextExamples {
    private TextExamples() {}

    /** One example per block. */
    public static List<Example> of(TextDataset text) {
        List<Example> examples = new ArrayList<>(text.blocks());
        int length = text.blockLength();
        for (int block = 0; block < text.blocks(); block++) {
            int[] ids = new int[length];
            int[] labels = new int[length];
            text.fill(block, ids, labels, 0);
            examples.add(new Example(ids, labels));
        }
        return examples;
    }

    /** Examples of one length as batches in their order, at most {@code most}; the last one may be smaller. */
    public static List<Batch> batches(List<Example> examples, int batchSize, int most) {
        List<Batch> batches = new ArrayList<>();
        for (int from = 0; from < examples.size() && batches.size() < most; from += batchSize) {
            List<Example> rows = examples.subList(from, Math.min(from + batchSize, examples.size()));
            int length = rows.get(0).ids().length;
            Batch batch = new Batch();
            batch.resize(rows.size(), length);
            for (int row = 0; row < rows.size(); row++) {
                System.arraycopy(rows.get(row).ids(), 0, batch.ids(), row * length, length);
                System.arraycopy(rows.get(row).labels(), 0, batch.labels(), row * length, length);
            }
            batches.add(batch);
        }
        return batches;
    }
}
