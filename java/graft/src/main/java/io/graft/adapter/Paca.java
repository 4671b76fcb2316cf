package io.graft.adapter;

import io.graft.io.PeftPacaConfig;
import io.graft.nn.Attachment;
import io.graft.nn.ColumnSlab;
import io.graft.nn.Parameter;
import io.graft.nn.PartialColumns;
import io.graft.nn.Projection;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.LongStream;

/**
 * Partial connection adaptation (arXiv 2503.01905): of each targeted projection r columns of W are trained in place,
 * {@code W[:, I] = W₀[:, I] + scale · D}. Fresh adapters start at D = 0, so that step 0 is the base model bit by bit. The
 * base model's columns are kept: {@link #disable} gives them back.
 *
 * <p>Files: Hugging Face's layout with {@code paca_delta} D, and the authors' with {@code paca_w} = W[:, I] / scale, both
 * beside {@code paca_indices}; either is read, the first is written by {@link #save}.
 */
public final class Paca extends PeftAdapter {
    private static final String DELTA = ".paca_delta";
    private static final String ABSOLUTE = ".paca_w";
    private static final String INDICES = ".paca_indices";

    private final PeftPacaConfig config;
    private final ColumnSelection selection;

    private Paca(PeftPacaConfig config, ColumnSelection selection, Path source, boolean trained) {
        super(config, source, trained);
        this.config = config;
        this.selection = selection;
    }

    /** A fresh adapter with random columns, to be trained. */
    public static Paca create(PeftPacaConfig config) {
        return create(config, ColumnSelection.random(config.randomSeed()));
    }

    /** A fresh adapter, to be trained. */
    public static Paca create(PeftPacaConfig config, ColumnSelection selection) {
        return new Paca(config, selection, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static Paca load(Path directory) {
        return new Paca(PeftPacaConfig.read(directory), null, directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static Paca frozen(Path directory) {
        return new Paca(PeftPacaConfig.read(directory), null, directory, false);
    }

    @Override
    public int border(String module) {
        return 0;
    }

    /** On codes the trained columns lie beside the weight. */
    @Override
    boolean servesCodes(String module) {
        return true;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        Context context = scope.context();
        Weight weight = projection.weight();
        String module = projection.module();
        String key = PREFIX + module;
        int rank = config.rank(module);
        double scale = config.scale(module);
        if (rank > weight.k()) {
            throw new IllegalArgumentException(
                    "Paca: r is " + rank + ", but " + module + " has only " + weight.k() + " inputs");
        }
        Tensor indices = scope.tensor(Memory.ADAPTER, DType.I64, rank);
        Tensor delta = wide(scope, projection, weight.n(), rank);
        boolean dense = weight.kind() == Weight.Kind.DENSE;
        boolean absolute = fromFile() && inFile(key + ABSOLUTE);
        if (absolute && !dense) {
            throw new IllegalArgumentException("Paca: " + module + " is " + weight.kind() + ", but the file has "
                    + ABSOLUTE.substring(1) + ", which is absolute; only a delta fits a quantised base");
        }
        if (fromFile()) {
            read(key + INDICES, indices);
            read(key + (absolute ? ABSOLUTE : DELTA), delta);
        } else {
            long[] chosen = selection.choose(projection, rank);
            if (chosen.length != rank) {
                throw new IllegalArgumentException(
                        "Paca: " + chosen.length + " columns are chosen for " + module + ", but r is " + rank);
            }
            indices.set(chosen);
        }
        constant(key + INDICES, indices);
        if (!dense) {
            return new ColumnSlab(train(scope, new Parameter(key + DELTA, delta)), indices, scale);
        }
        Tensor original = scope.tensor(Memory.ADAPTER, weight.dtype(), weight.n(), rank);
        io.graft.ops.Paca.read(context, weight, indices, original);
        if (absolute) {
            addOriginal(context, delta, original, -1 / scale);
        }
        Parameter parameter = train(scope, new Parameter(key + DELTA, delta));
        return new PartialColumns(parameter, indices, original, scale);
    }

    /** columns += factor · original: the same op that adds a delta to W's columns, on a matrix of r columns. */
    private static void addOriginal(Context context, Tensor columns, Tensor original, double factor) {
        try (Scope scope = context.scope()) {
            long rank = columns.size(1);
            Tensor wide = scope.tensor(Memory.WORKSPACE, columns.dtype(), columns.shape());
            TensorOps.copy(context, original, wide);
            Tensor start = scope.tensor(Memory.WORKSPACE, columns.dtype(), columns.shape());
            TensorOps.copy(context, columns, start);
            Tensor all = scope.tensor(Memory.WORKSPACE, DType.I64, rank);
            all.set(LongStream.range(0, rank).toArray());
            io.graft.ops.Paca.write(context, wide, start, all, factor, scope.weight(columns));
        }
    }

    /** Gives the model its own columns back, bit by bit, until {@link #enable}. */
    public void disable() {
        for (Projection projection : projections()) {
            if (projection.attachment() instanceof ColumnSlab slab) {
                slab.enable(false);
            } else {
                ((PartialColumns) projection.attachment()).restore(projection.weight());
            }
        }
    }

    /** Puts the trained columns in place again. */
    public void enable() {
        for (Projection projection : projections()) {
            if (projection.attachment() instanceof ColumnSlab slab) {
                slab.enable(true);
            }
        }
        changed();
    }

    public PeftPacaConfig config() {
        return config;
    }

    /** As {@link #save}, in the layout of the authors' code: {@code paca_w} = W[:, I] / scale. */
    public void saveAbsolute(Path directory) {
        if (projections().isEmpty()) {
            save(directory);
            return;
        }
        if (projections().get(0).attachment() instanceof ColumnSlab) {
            throw new IllegalStateException("Paca.saveAbsolute: the base is quantised and has no columns to add to");
        }
        Map<String, Tensor> tensors = new LinkedHashMap<>(tensors());
        try (Scope scope =
                projections().get(0).weight().matrix().scope().context().scope()) {
            for (Projection projection : projections()) {
                PartialColumns part = (PartialColumns) projection.attachment();
                Tensor columns = scope.tensor(
                        Memory.WORKSPACE,
                        part.delta().value().dtype(),
                        part.delta().value().shape());
                TensorOps.copy(scope.context(), part.delta().value(), columns);
                addOriginal(scope.context(), columns, part.original(), 1 / part.scale());
                tensors.remove(part.delta().name());
                tensors.put(PREFIX + projection.module() + ABSOLUTE, columns);
            }
            write(directory, config(), tensors);
        }
    }
}
