package io.graft.adapter;

import io.graft.nn.Parameter;
import io.graft.nn.PartialColumns;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.ops.Paca;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/**
 * Lets PaCA train other columns every so many steps. Columns that are chosen again keep their place, delta and moments; the
 * others retire, which leaves W as it is, and new ones start from it with moments of zero. {@code W[:, I] = original + scale
 * · D} stays true of all columns that were ever trained: retired ones are kept as a frozen part, so that the base can be
 * given back and files hold them all.
 */
final class Reselector {
    /** The columns of one projection, trained and retired. */
    private static final class Layer {
        final Projection projection;
        final PartialColumns trained;
        PartialColumns retired;
        Scope scope;

        Layer(Projection projection, PartialColumns trained) {
            this.projection = projection;
            this.trained = trained;
            retire(0);
        }

        /** Makes room for so many retired columns; the old ones are closed with {@code scope}'s old value. */
        void retire(int count) {
            Tensor d = trained.delta().value();
            scope = d.scope().scope();
            retired = new PartialColumns(
                    new Parameter("retired", scope.tensor(Memory.ADAPTER, d.dtype(), d.size(0), count)),
                    scope.tensor(Memory.ADAPTER, DType.I64, count),
                    scope.tensor(Memory.ADAPTER, trained.original().dtype(), d.size(0), count),
                    trained.scale(),
                    null);
        }

        Weight weight() {
            return projection.weight();
        }
    }

    private final int every;
    private final Reselection by;
    private final long seed;
    private final Map<Projection, Layer> layers = new LinkedHashMap<>();
    private final Map<List<Long>, Weight> gradients = new HashMap<>();
    private long steps = Long.MAX_VALUE;

    Reselector(int every, Reselection by, long seed) {
        this.every = every;
        this.by = by;
        this.seed = seed;
    }

    boolean byGradient() {
        return by == Reselection.GRADIENT;
    }

    /** What a projection's part needs to be measured; null where the choice needs no gradients. */
    PartialColumns.Measure measure(Scope scope, Weight weight) {
        if (by != Reselection.GRADIENT) {
            return null;
        }
        return PartialColumns.Measure.of(
                scope,
                gradients.computeIfAbsent(
                        List.of(weight.n(), weight.k()),
                        shape -> scope.weight(scope.tensor(
                                Memory.GRADIENT, Precision.accumulator(weight.dtype()), weight.n(), weight.k()))));
    }

    void add(Projection projection, PartialColumns part) {
        layers.put(projection, new Layer(projection, part));
    }

    /** The columns of a projection that are trained no more. */
    PartialColumns retired(Projection projection) {
        return layers.get(projection).retired;
    }

    void starting(long total) {
        steps = total;
        measure(1);
    }

    /** Whether columns are chosen after this step; why not after the last: nothing would train them. */
    private boolean due(long step) {
        return step % every == 0 && step < steps;
    }

    private void measure(long step) {
        if (by == Reselection.GRADIENT) {
            layers.values().forEach(layer -> layer.trained.measure(due(step)));
        }
    }

    void stepped(OptimiserStep step) {
        if (due(step.number())) {
            for (Layer layer : layers.values()) {
                // why: what retires must stand in W as this step left it.
                layer.trained.write(layer.weight());
                exchange(layer, choose(layer, step.number()), step.moments().apply(layer.trained.delta()));
            }
        }
        measure(step.number() + 1);
    }

    private long[] choose(Layer layer, long step) {
        int rank = layer.trained.kept();
        return switch (by) {
            case RANDOM -> ColumnSelection.random(Lora.mix(seed + step)).choose(layer.projection, rank);
            case NORM -> ColumnSelection.norm().choose(layer.projection, rank);
            case GRADIENT ->
                ColumnSelection.largest(layer.trained.measure().sums().floats(), rank);
        };
    }

    private static void exchange(Layer layer, long[] chosen, List<Tensor> moments) {
        long[] now = layer.trained.indices().longs();
        List<Long> coming = new ArrayList<>(Arrays.stream(chosen).boxed().toList());
        Set<Long> staying = new HashSet<>(coming);
        coming.removeAll(Arrays.stream(now).boxed().toList());
        if (coming.isEmpty()) {
            return;
        }
        PartialColumns before = layer.retired;
        Scope scopeBefore = layer.scope;
        long[] retired = before.indices().longs();
        Map<Long, Integer> places = new LinkedHashMap<>();
        for (int q = 0; q < retired.length; q++) {
            places.put(retired[q], q);
        }
        layer.retire(retired.length
                - (int) coming.stream().filter(places::containsKey).count()
                + coming.size());
        try (Scope scope = scopeBefore.context().scope()) {
            Tensor fresh = scope.tensor(Memory.WORKSPACE, DType.I64, coming.size());
            fresh.set(coming.stream().mapToLong(Long::longValue).toArray());
            Tensor columns = scope.tensor(
                    Memory.WORKSPACE, layer.weight().dtype(), layer.weight().n(), coming.size());
            Paca.read(scope.context(), layer.weight(), fresh, columns);
            int to = 0;
            long[] newRetired = new long[layer.retired.kept()];
            for (int q = 0; q < retired.length; q++) {
                if (!coming.contains(retired[q])) {
                    move(scope, before, q, layer.retired, to);
                    newRetired[to++] = retired[q];
                }
            }
            int next = 0;
            for (int p = 0; p < now.length; p++) {
                if (staying.contains(now[p])) {
                    continue;
                }
                move(scope, layer.trained, p, layer.retired, to);
                newRetired[to++] = now[p];
                now[p] = coming.get(next);
                Integer place = places.get(now[p]);
                if (place == null) {
                    TensorOps.fill(
                            scope.context(),
                            0,
                            column(scope, layer.trained.delta().value(), p));
                    TensorOps.copy(
                            scope.context(), column(scope, columns, next), column(scope, layer.trained.original(), p));
                } else {
                    move(scope, before, place, layer.trained, p);
                }
                for (Tensor moment : moments) {
                    TensorOps.fill(scope.context(), 0, column(scope, moment, p));
                }
                next++;
            }
            layer.retired.indices().set(newRetired);
            layer.trained.indices().set(now);
        }
        scopeBefore.close();
    }

    private static void move(Scope scope, PartialColumns from, int p, PartialColumns to, int q) {
        TensorOps.copy(
                scope.context(),
                column(scope, from.delta().value(), p),
                column(scope, to.delta().value(), q));
        TensorOps.copy(scope.context(), column(scope, from.original(), p), column(scope, to.original(), q));
    }

    private static Tensor column(Scope scope, Tensor matrix, int p) {
        return scope.view(matrix, p * matrix.stride(1), new long[] {matrix.size(0), 1}, matrix.strides());
    }

    Map<String, Tensor> state() {
        Map<String, Tensor> state = new LinkedHashMap<>();
        layers.forEach((projection, layer) -> {
            state.put("columns/" + projection.module(), layer.trained.indices());
            state.put("retired_columns/" + projection.module(), layer.retired.indices());
            state.put("retired/" + projection.module(), layer.retired.delta().value());
        });
        return state;
    }

    /** Gives W back, so that {@link #restored} finds the base, and takes as many retired columns as there were. */
    void restoring(Function<String, long[]> shapes) {
        layers.forEach((projection, layer) -> {
            long[] shape = shapes.apply("retired_columns/" + projection.module());
            restore(projection);
            layer.scope.close();
            layer.retire(Math.toIntExact(shape[0]));
        });
    }

    void restored(long step) {
        for (Layer layer : layers.values()) {
            for (PartialColumns part : List.of(layer.trained, layer.retired)) {
                Paca.read(layer.scope.context(), layer.weight(), part.indices(), part.original());
            }
            layer.retired.write(layer.weight());
        }
        measure(step + 1);
    }

    /** Gives a projection all its columns back, bit by bit. */
    void restore(Projection projection) {
        Layer layer = layers.get(projection);
        layer.trained.restore(layer.weight());
        layer.retired.restore(layer.weight());
    }

    /** Puts the retired columns in place again. */
    void write() {
        layers.values().forEach(layer -> layer.retired.write(layer.weight()));
    }
}
