package io.graft.nn;

import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/** Buffers that the attachments of a model use in turn, each for the time of one call; made again for other rows. */
public final class SharedBuffers implements AutoCloseable {
    /** What a buffer is for: two of different use are different memory. */
    enum Use {
        INNER,
        LAYER,
        KEPT,
        GRADIENT,
        NARROW
    }

    private record Entry(Tensor tensor, Use use, int number) {}

    private final Scope parent;
    private final List<Entry> entries = new ArrayList<>();
    private Scope scope;
    private long rows = -1;
    private long generation;

    /** @param parent lives as long as the model */
    public SharedBuffers(Scope parent) {
        this.parent = parent;
        this.scope = parent.scope();
    }

    /** A buffer [rows, columns] of the dtype and with the rows of {@code like}. */
    Tensor get(Tensor like, long columns, Use use) {
        return get(like, columns, use, 0);
    }

    /** One of several of the same use. */
    Tensor get(Tensor like, long columns, Use use, int number) {
        if (like.size(0) != rows) {
            close();
            scope = parent.scope();
            rows = like.size(0);
            generation++;
        }
        for (Entry entry : entries) {
            if (entry.use() == use && entry.number() == number && entry.tensor().size(1) == columns) {
                return entry.tensor();
            }
        }
        Tensor tensor = scope.tensor(Memory.ACTIVATION, like.dtype(), rows, columns);
        entries.add(new Entry(tensor, use, number));
        return tensor;
    }

    /** How often buffers were made again: with the same number they are where they were. */
    public long generation() {
        return generation;
    }

    @Override
    public void close() {
        entries.clear();
        scope.close();
    }
}
