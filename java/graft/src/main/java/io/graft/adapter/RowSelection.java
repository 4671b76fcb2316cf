package io.graft.adapter;

import io.graft.io.Checkpoint;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.ops.Dora;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Map;

/** How a fresh {@link Rows} adapter chooses the rows of a projection that it trains. */
@FunctionalInterface
public interface RowSelection {
    /** The chosen rows: r different ones, in any order. */
    long[] choose(Projection projection, int rank);

    /** By chance, each projection its own, from the seed and the module's name. */
    static RowSelection random(long seed) {
        return (projection, rank) -> ColumnSelection.draw(
                seed, projection.module(), (int) projection.weight().n(), rank);
    }

    /** The rows of W with the largest 2-norm. */
    static RowSelection norm() {
        return (projection, rank) -> {
            Context context = projection.weight().matrix().scope().context();
            try (Scope scope = context.scope()) {
                Tensor squared = scope.tensor(
                        Memory.WORKSPACE,
                        Precision.accumulator(projection.dtype()),
                        projection.weight().n());
                Dora.squaredNorms(context, projection.weight(), squared);
                return ColumnSelection.largest(squared.floats(), rank);
            }
        };
    }

    /**
     * The rows that another training of the same model moved furthest, by the 2-norm of their change: FAR's learning
     * distance of a node (arXiv 2205.01541, section 3). One matrix at a time is read.
     *
     * @param trained the folder of the trained model
     */
    static RowSelection change(Path trained) {
        return (projection, rank) -> {
            Tensor w = projection.weight().matrix();
            try (Scope scope = w.scope().context().scope();
                    Checkpoint checkpoint = Checkpoint.open(trained)) {
                Tensor after = scope.tensor(Memory.WORKSPACE, DType.F32, w.shape());
                checkpoint.read(projection.name(), after);
                float[] distances = new float[(int) w.size(0)];
                long[] line = {1, w.size(1)};
                for (int i = 0; i < distances.length; i++) {
                    float[] now = scope.view(after, i * after.stride(0), line, after.strides())
                            .floats();
                    float[] before =
                            scope.view(w, i * w.stride(0), line, w.strides()).floats();
                    double sum = 0;
                    for (int j = 0; j < now.length; j++) {
                        double difference = (double) now[j] - before[j];
                        sum += difference * difference;
                    }
                    distances[i] = (float) sum;
                }
                return ColumnSelection.largest(distances, rank);
            }
        };
    }

    /** These rows, by module. */
    static RowSelection given(Map<String, long[]> rows) {
        Map<String, long[]> copy = Map.copyOf(rows);
        return (projection, rank) -> {
            long[] chosen = copy.get(projection.module());
            if (chosen == null) {
                throw new IllegalArgumentException("Rows: no row is given for " + projection.module());
            }
            return chosen.clone();
        };
    }
}
