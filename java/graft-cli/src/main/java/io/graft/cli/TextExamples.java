package io.graft.cli;

import io.graft.io.Document;
import io.graft.io.DocumentReader;
import io.graft.io.TextDataset;
import io.graft.model.Batch;
import io.graft.train.Example;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Blocks of a {@link TextDataset}, or documents, in the forms that training and evaluation take. */
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

    /**
     * Documents that are rows.
     *
     * @param cut how many were longer, of those that are there
     * @param leftOut how many are not there
     */
    public record Documents(List<Example> examples, int cut, int leftOut) {}

    /** One example per document that has something to learn, of at most so many tokens; longer ones are cut or dropped. */
    public static Documents documents(DocumentReader reader, Path source, int length, boolean drop) {
        List<Example> examples = new ArrayList<>();
        int[] cut = {0};
        int[] leftOut = {0};
        reader.read(source, document -> {
            boolean tooLong = document.ids().length > length;
            Document row = document.cut(length);
            if ((tooLong && drop) || row.targets() == 0) {
                leftOut[0]++;
                return;
            }
            cut[0] += tooLong ? 1 : 0;
            examples.add(new Example(row.ids(), row.labels()));
        });
        return new Documents(examples, cut[0], leftOut[0]);
    }

    /** Examples as batches in their order, at most {@code most}, padded to their longest; the last may have fewer rows. */
    public static List<Batch> batches(List<Example> examples, int batchSize, int most) {
        List<Batch> batches = new ArrayList<>();
        for (int from = 0; from < examples.size() && batches.size() < most; from += batchSize) {
            List<Example> rows = examples.subList(from, Math.min(from + batchSize, examples.size()));
            int length = rows.stream().mapToInt(row -> row.ids().length).max().orElseThrow();
            Batch batch = new Batch();
            batch.resize(rows.size(), length);
            for (int row = 0; row < rows.size(); row++) {
                rows.get(row).fill(batch, row);
            }
            batches.add(batch);
        }
        return batches;
    }
}
