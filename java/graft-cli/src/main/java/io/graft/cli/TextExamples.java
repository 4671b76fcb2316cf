package io.graft.cli;

import io.graft.io.Document;
import io.graft.io.DocumentReader;
import io.graft.io.TextDataset;
import io.graft.io.TokenFile;
import io.graft.model.Batch;
import io.graft.train.Example;
import java.nio.file.Path;
import java.util.AbstractList;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.IntFunction;

/**
 * Blocks of a {@link TextDataset}, or documents, in the forms that training and evaluation take: lists that read an element
 * from its file each time it is asked for.
 */
public final class TextExamples {
    private TextExamples() {}

    /** One example per block. */
    public static List<Example> of(TextDataset text) {
        return list(text.blocks(), block -> {
            int[] ids = new int[text.blockLength()];
            int[] labels = new int[text.blockLength()];
            text.fill(block, ids, labels, 0);
            return new Example(ids, labels);
        });
    }

    private static <T> List<T> list(int size, IntFunction<T> element) {
        return new AbstractList<>() {
            @Override
            public T get(int index) {
                return element.apply(Objects.checkIndex(index, size));
            }

            @Override
            public int size() {
                return size;
            }
        };
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
        TokenFile rows = new TokenFile();
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
            rows.append(row);
        });
        List<Example> examples = list(rows.documents(), i -> example(rows.document(i)));
        return new Documents(examples, cut[0], leftOut[0]);
    }

    private static Example example(Document row) {
        return new Example(row.ids(), row.labels());
    }

    /** Examples as batches in their order, at most {@code most}, padded to their longest; the last may have fewer rows. */
    public static List<Batch> batches(List<Example> examples, int batchSize, int most) {
        int all = (examples.size() + batchSize - 1) / batchSize;
        return list(Math.min(all, most), index -> {
            int from = index * batchSize;
            List<Example> rows = new ArrayList<>(examples.subList(from, Math.min(from + batchSize, examples.size())));
            int length = rows.stream().mapToInt(row -> row.ids().length).max().orElseThrow();
            Batch batch = new Batch();
            batch.resize(rows.size(), length);
            for (int row = 0; row < rows.size(); row++) {
                rows.get(row).fill(batch, row);
            }
            return batch;
        });
    }
}
