package io.graft.adapter;

import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.SparseEntries;
import io.graft.ops.Sparse;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * Lets {@link Shira} train other entries every so many steps, as {@link Reselector} does with columns: entries that are
 * chosen again keep delta and moments, new ones start with moments of zero, and those that are given up stay in W as they
 * are, kept as a frozen part.
 */
final class EntryReselector {
    /** The entries of one projection, trained and retired. */
    private static final class Layer {
        final Projection projection;
        final SparseEntries trained;
        SparseEntries retired;
        Scope scope;

        Layer(Projection projection, SparseEntries trained) {
            this.projection = projection;
            this.trained = trained;
            retire(0);
        }

        void retire(int count) {
            Tensor d = trained.delta().value();
            scope = d.scope().scope();
            retired = new SparseEntries(
                    new Parameter("retired", scope.tensor(Memory.ADAPTER, d.dtype(), count)),
                    scope.tensor(Memory.ADAPTER, DType.I32, 2, count),
                    scope.tensor(Memory.ADAPTER, weight().dtype(), count),
                    true);
        }

        Weight weight() {
            return projection.weight();
        }
    }

    /** Entries in ascending order, {@code row · in + column}, with what belongs to each. */
    record Entries(long[] places, double[] deltas, double[] originals) {
        static Entries of(SparseEntries part, long inputs) {
            return new Entries(
                    EntryReselector.places(part.indices(), inputs),
                    part.delta().value().doubles(),
                    part.original().doubles());
        }
    }

    private final int every;
    private final int examples;
    private final Map<Projection, Layer> layers = new LinkedHashMap<>();
    private Function<Parameter, List<Tensor>> moments;
    private long steps = Long.MAX_VALUE;

    EntryReselector(int every, int examples) {
        this.every = every;
        this.examples = examples;
    }

    void add(Projection projection, SparseEntries part) {
        layers.put(projection, new Layer(projection, part));
    }

    SparseEntries retired(Projection projection) {
        return layers.get(projection).retired;
    }

    void starting(long total) {
        steps = total;
    }

    /** Whether other entries are to be chosen behind this step; why not after the last: nothing would train them. */
    boolean due(OptimiserStep step) {
        moments = step.moments();
        return step.number() % every == 0 && step.number() < steps;
    }

    Adapter.Recalibration recalibration() {
        return new Adapter.Recalibration(examples, every);
    }

    static long[] places(Tensor indices, long inputs) {
        int[] values = indices.ints();
        long[] places = new long[values.length / 2];
        for (int p = 0; p < places.length; p++) {
            places[p] = values[p] * inputs + values[places.length + p];
        }
        return places;
    }

    static void set(long[] places, long inputs, Tensor indices) {
        int[] values = new int[2 * places.length];
        for (int p = 0; p < places.length; p++) {
            values[p] = Math.toIntExact(places[p] / inputs);
            values[places.length + p] = (int) (places[p] % inputs);
        }
        indices.set(values);
    }

    /** Trains these entries from now on; fresh: [2, nnz], as many as before. */
    void exchange(Projection projection, Tensor fresh) {
        Layer layer = layers.get(projection);
        long inputs = layer.weight().k();
        // why: what retires must stand in W as the last step left it.
        layer.trained.write(layer.weight());
        Entries trained = Entries.of(layer.trained, inputs);
        Entries retired = Entries.of(layer.retired, inputs);
        long[] chosen = places(fresh, inputs);
        double[] deltas = new double[chosen.length];
        double[] originals = inWeight(layer, fresh);
        int[] stayed = new int[chosen.length];
        for (int p = 0; p < chosen.length; p++) {
            stayed[p] = Arrays.binarySearch(trained.places(), chosen[p]);
            int back = Arrays.binarySearch(retired.places(), chosen[p]);
            if (stayed[p] >= 0) {
                deltas[p] = trained.deltas()[stayed[p]];
                originals[p] = trained.originals()[stayed[p]];
            } else if (back >= 0) {
                deltas[p] = retired.deltas()[back];
                originals[p] = retired.originals()[back];
            }
        }
        List<Tensor> carried = moments.apply(layer.trained.delta());
        for (Tensor moment : carried) {
            double[] before = moment.doubles();
            double[] after = new double[chosen.length];
            for (int p = 0; p < after.length; p++) {
                after[p] = stayed[p] >= 0 ? before[stayed[p]] : 0;
            }
            moment.set(after);
        }
        Entries left = without(joined(trained, retired), chosen);
        Scope old = layer.scope;
        layer.retire(left.places().length);
        set(left.places(), inputs, layer.retired.indices());
        layer.retired.delta().value().set(left.deltas());
        layer.retired.original().set(left.originals());
        old.close();
        set(chosen, inputs, layer.trained.indices());
        layer.trained.delta().value().set(deltas);
        layer.trained.original().set(originals);
    }

    private static double[] inWeight(Layer layer, Tensor indices) {
        try (Scope scope = layer.scope.context().scope()) {
            Tensor values = scope.tensor(Memory.WORKSPACE, layer.weight().dtype(), indices.size(1));
            Sparse.read(scope.context(), layer.weight(), indices, values);
            return values.doubles();
        }
    }

    /** All entries of a projection, trained and retired. */
    Entries all(Projection projection) {
        Layer layer = layers.get(projection);
        return joined(
                Entries.of(layer.trained, layer.weight().k()),
                Entries.of(layer.retired, layer.weight().k()));
    }

    private static Entries joined(Entries a, Entries b) {
        int count = a.places().length + b.places().length;
        Entries all = new Entries(new long[count], new double[count], new double[count]);
        for (int to = 0, i = 0, j = 0; to < count; to++) {
            boolean first = j == b.places().length || i < a.places().length && a.places()[i] < b.places()[j];
            copy(first ? a : b, first ? i++ : j++, all, to);
        }
        return all;
    }

    private static Entries without(Entries entries, long[] places) {
        int count = 0;
        Entries left = new Entries(
                entries.places().clone(),
                entries.deltas().clone(),
                entries.originals().clone());
        for (int i = 0; i < entries.places().length; i++) {
            if (Arrays.binarySearch(places, entries.places()[i]) < 0) {
                copy(entries, i, left, count++);
            }
        }
        return new Entries(
                Arrays.copyOf(left.places(), count),
                Arrays.copyOf(left.deltas(), count),
                Arrays.copyOf(left.originals(), count));
    }

    private static void copy(Entries from, int i, Entries to, int j) {
        to.places()[j] = from.places()[i];
        to.deltas()[j] = from.deltas()[i];
        to.originals()[j] = from.originals()[i];
    }

    Map<String, Tensor> state() {
        Map<String, Tensor> state = new HashMap<>();
        layers.forEach((projection, layer) -> {
            state.put("entries/" + projection.module(), layer.trained.indices());
            state.put("retired_entries/" + projection.module(), layer.retired.indices());
            state.put("retired/" + projection.module(), layer.retired.delta().value());
        });
        return state;
    }

    /** Gives W back, so that {@link #restored} finds the base, and takes as many retired entries as there were. */
    void restoring(Function<String, long[]> shapes) {
        layers.forEach((projection, layer) -> {
            long[] shape = shapes.apply("retired_entries/" + projection.module());
            layer.trained.restore(layer.weight());
            layer.retired.restore(layer.weight());
            layer.scope.close();
            layer.retire(Math.toIntExact(shape[1]));
        });
    }

    void restored() {
        for (Layer layer : layers.values()) {
            layer.trained.chosen(layer.weight());
            layer.retired.chosen(layer.weight());
            layer.retired.write(layer.weight());
        }
    }
}
