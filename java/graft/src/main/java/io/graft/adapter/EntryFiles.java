package io.graft.adapter;

import io.graft.io.PeftShiraConfig;
import io.graft.nn.Projection;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * SHiRA's files for any number of entries: the layout gives each module {@code r · (in + out)} of them, so that r is the
 * smallest with room for all, and entries that were never trained fill the rest with deltas of zero.
 */
final class EntryFiles {
    private EntryFiles() {}

    /**
     * @param scope for what is made on the way
     * @param others what the adapter saves, by key; entries are replaced
     */
    static void write(
            Scope scope,
            PeftAdapter<?> adapter,
            PeftShiraConfig config,
            Map<Projection, EntryReselector.Entries> entries,
            Map<String, Tensor> others,
            Path directory) {
        int rank = 1;
        for (Map.Entry<Projection, EntryReselector.Entries> one : entries.entrySet()) {
            Weight w = one.getKey().weight();
            long sides = w.n() + w.k();
            rank = Math.max(rank, Math.toIntExact((one.getValue().places().length + sides - 1) / sides));
        }
        PeftShiraConfig fitting = config.withRank(rank);
        Map<String, Tensor> tensors = new LinkedHashMap<>(others);
        entries.forEach((projection, some) -> {
            Weight w = projection.weight();
            int count = Math.toIntExact(fitting.entries(w.n(), w.k()));
            EntryReselector.Entries all = filled(some, count);
            Tensor indices = scope.tensor(Memory.WORKSPACE, DType.I32, 2, count);
            EntryReselector.set(all.places(), w.k(), indices);
            String key = PeftAdapter.PREFIX + projection.module();
            tensors.put(key + Shira.INDICES, indices);
            Tensor deltas = scope.tensor(Memory.WORKSPACE, DType.F32, count);
            tensors.put(key + Shira.WEIGHT, deltas.set(all.deltas()));
        });
        adapter.write(directory, fitting, tensors);
    }

    /** With the first other entries, in ascending order. */
    private static EntryReselector.Entries filled(EntryReselector.Entries some, int count) {
        long[] places = Arrays.copyOf(some.places(), count);
        double[] deltas = new double[count];
        int at = some.places().length;
        int next = 0;
        for (long place = 0; at < count; place++) {
            while (next < some.places().length && some.places()[next] < place) {
                next++;
            }
            if (next == some.places().length || some.places()[next] != place) {
                places[at++] = place;
            }
        }
        Arrays.sort(places);
        for (int i = 0; i < some.places().length; i++) {
            deltas[Arrays.binarySearch(places, some.places()[i])] = some.deltas()[i];
        }
        return new EntryReselector.Entries(places, deltas, null);
    }
}
