package io.graft.adapter;

import io.graft.io.PeftPacaConfig;
import io.graft.nn.PartialColumns;
import io.graft.nn.Projection;
import io.graft.nn.TrainedColumns;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The layouts that PaCA's columns are saved in: as a delta, with the base's columns added, or as LoRA. Columns that are
 * trained no more stand among those that are, in ascending order.
 */
final class PacaFiles {
    /** All columns of a projection; original is null where the base has none. */
    private record Columns(Tensor indices, Tensor delta, Tensor original, double scale, long inputs) {}

    private final Scope scope;
    private final Paca adapter;
    private final PeftPacaConfig config;
    private final Map<String, Tensor> others;
    private final Map<String, Columns> modules = new LinkedHashMap<>();
    private final Map<String, Integer> ranks = new HashMap<>();

    /**
     * @param scope for what is made on the way
     * @param all what the adapter saves, by key: what does not belong to columns is saved as it is
     */
    PacaFiles(Scope scope, Paca adapter, Map<String, Tensor> all) {
        this.scope = scope;
        this.adapter = adapter;
        this.config = adapter.config();
        this.others = new LinkedHashMap<>(all);
    }

    /** @param retired columns besides those of the attachment, or null */
    void add(Projection projection, PartialColumns retired) {
        String module = projection.module();
        TrainedColumns trained = (TrainedColumns) projection.attachment();
        Tensor original = trained instanceof PartialColumns part ? part.original() : null;
        others.remove(PeftAdapter.PREFIX + module + Paca.DELTA);
        others.remove(PeftAdapter.PREFIX + module + Paca.INDICES);
        Columns columns = new Columns(
                trained.indices(),
                trained.delta().value(),
                original,
                trained.scale(),
                projection.weight().k());
        modules.put(module, retired == null ? columns : joined(columns, retired));
        if (retired != null) {
            ranks.put(module, trained.kept() + retired.kept());
        }
    }

    private Columns joined(Columns trained, PartialColumns retired) {
        long[] first = trained.indices().longs();
        long[] second = retired.indices().longs();
        int[] order = IntStream.range(0, first.length + second.length)
                .boxed()
                .sorted(Comparator.comparingLong(i -> column(first, second, i)))
                .mapToInt(Integer::intValue)
                .toArray();
        Tensor indices = scope.tensor(Memory.WORKSPACE, DType.I64, order.length);
        indices.set(IntStream.of(order).mapToLong(i -> column(first, second, i)).toArray());
        return new Columns(
                indices,
                joined(trained.delta(), retired.delta().value(), order),
                joined(trained.original(), retired.original(), order),
                trained.scale(),
                trained.inputs());
    }

    private static long column(long[] first, long[] second, int i) {
        return i < first.length ? first[i] : second[i - first.length];
    }

    private Tensor joined(Tensor first, Tensor second, int[] order) {
        Tensor all = scope.tensor(Memory.WORKSPACE, first.dtype(), first.size(0), order.length);
        int split = (int) first.size(1);
        for (int to = 0; to < order.length; to++) {
            int from = order[to];
            Tensor source = from < split ? first : second;
            int at = from < split ? from : from - split;
            TensorOps.copy(scope.context(), column(source, at), column(all, to));
        }
        return all;
    }

    private Tensor column(Tensor matrix, int p) {
        return scope.view(matrix, p * matrix.stride(1), new long[] {matrix.size(0), 1}, matrix.strides());
    }

    private PeftPacaConfig fitting() {
        return ranks.isEmpty() ? config : config.withRanks(ranks);
    }

    void saveDelta(Path directory) {
        modules.forEach((module, columns) -> {
            others.put(PeftAdapter.PREFIX + module + Paca.DELTA, columns.delta());
            others.put(PeftAdapter.PREFIX + module + Paca.INDICES, columns.indices());
        });
        adapter.write(directory, fitting(), others);
    }

    void saveAbsolute(Path directory) {
        modules.forEach((module, columns) -> {
            if (columns.original() == null) {
                throw new IllegalStateException(
                        "Paca.saveAbsolute: the base of " + module + " is quantised and has no columns to add to");
            }
            Tensor sum = scope.tensor(
                    Memory.WORKSPACE, columns.delta().dtype(), columns.delta().shape());
            TensorOps.copy(scope.context(), columns.delta(), sum);
            Paca.addOriginal(scope.context(), sum, columns.original(), 1 / columns.scale());
            others.put(PeftAdapter.PREFIX + module + Paca.ABSOLUTE, sum);
            others.put(PeftAdapter.PREFIX + module + Paca.INDICES, columns.indices());
        });
        adapter.write(directory, fitting(), others);
    }

    void saveLora(Path directory) {
        modules.forEach((module, columns) -> {
            long[] indices = columns.indices().longs();
            Tensor a = scope.tensor(Memory.WORKSPACE, columns.delta().dtype(), indices.length, columns.inputs());
            for (int i = 0; i < indices.length; i++) {
                TensorOps.fill(
                        scope.context(), 1, scope.view(a, i * a.stride(0) + indices[i], new long[] {1}, new long[] {1
                        }));
            }
            String key = PeftAdapter.PREFIX + module + ".lora_";
            others.put(key + "A.weight", a);
            others.put(key + "B.weight", columns.delta());
        });
        adapter.write(directory, fitting().asLora(), others);
    }
}
