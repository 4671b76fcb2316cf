package io.graft.adapter;

import io.graft.nn.Adaptable;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.ops.Paca;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.HashMap;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.LongStream;

/** How a fresh PaCA adapter chooses the columns of a projection that it trains. */
@FunctionalInterface
public interface ColumnSelection {
    /** The chosen columns: r different ones, in any order. */
    long[] choose(Projection projection, int rank);

    /** By chance, each projection its own, from the seed and the module's name (the choice of arXiv 2503.01905). */
    static ColumnSelection random(long seed) {
        return (projection, rank) ->
                draw(seed, projection.module(), (int) projection.weight().k(), rank);
    }

    /** count of 0 … from - 1, in ascending order. */
    static long[] draw(long seed, String module, int from, int count) {
        return LongStream.of(shuffled(seed, module, from, count)).sorted().toArray();
    }

    /** The first count of 0 … from - 1 in a random order, which does not depend on count. */
    static long[] shuffled(long seed, String name, int from, int count) {
        SplittableRandom random = ModuleRandom.of(seed, name);
        long[] all = LongStream.range(0, from).toArray();
        for (int i = 0; i < count; i++) {
            int j = i + random.nextInt(from - i);
            long swapped = all[j];
            all[j] = all[i];
            all[i] = swapped;
        }
        return LongStream.of(all).limit(count).toArray();
    }

    /** The columns of W with the largest 2-norm. */
    static ColumnSelection norm() {
        return (projection, rank) -> largest(norms(projection.weight()), rank);
    }

    /**
     * The columns whose gradient has the largest 2-norm. The model must have gradients of the targeted weights: train it
     * with {@link Full}, run {@code lossAndGradients} over some batches, and make this; the model is not needed afterwards.
     */
    static ColumnSelection gradient(Adaptable model) {
        Map<String, float[]> norms = new HashMap<>();
        for (Projection projection : model.projections()) {
            Tensor gradient = projection.parameter().gradient();
            if (gradient != null) {
                try (Scope scope = model.scope().context().scope()) {
                    norms.put(projection.module(), norms(scope.weight(gradient)));
                }
            }
        }
        return (projection, rank) -> largest(of(norms, projection, "gradient"), rank);
    }

    /** These columns, by module. */
    static ColumnSelection given(Map<String, long[]> columns) {
        Map<String, long[]> copy = Map.copyOf(columns);
        return (projection, rank) -> of(copy, projection, "column").clone();
    }

    private static <T> T of(Map<String, T> values, Projection projection, String what) {
        T value = values.get(projection.module());
        if (value == null) {
            throw new IllegalArgumentException("Paca: no " + what + " is given for " + projection.module());
        }
        return value;
    }

    private static float[] norms(Weight weight) {
        if (weight.kind() != Weight.Kind.DENSE) {
            throw new IllegalArgumentException("Paca: columns by norm need a dense weight, not " + weight);
        }
        Context context = weight.matrix().scope().context();
        try (Scope scope = context.scope()) {
            Tensor norms = scope.tensor(Memory.WORKSPACE, Precision.accumulator(weight.dtype()), weight.k());
            Paca.columnNorms(context, weight, norms);
            return norms.floats();
        }
    }

    /** In ascending order; of equal ones the first. */
    static long[] largest(float[] values, int rank) {
        return LongStream.range(0, values.length)
                .boxed()
                .sorted((a, b) -> Float.compare(values[b.intValue()], values[a.intValue()]))
                .limit(rank)
                .mapToLong(Long::longValue)
                .sorted()
                .toArray();
    }
}
