package io.graft.adapter;

import io.graft.io.PeftPacaConfig;
import io.graft.nn.Attachment;
import io.graft.nn.ColumnSlab;
import io.graft.nn.Parameter;
import io.graft.nn.PartialColumns;
import io.graft.nn.Projection;
import io.graft.ops.AdamWParameters;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.LongStream;

/**
 * Partial connection adaptation (arXiv 2503.01905): of each targeted projection r columns of W are trained in place,
 * {@code W[:, I] = W₀[:, I] + scale · D}. Fresh adapters start at D = 0, so that step 0 is the base model bit by bit. The
 * base model's columns are kept: {@link #disable} gives them back.
 *
 * <p>Files: Hugging Face's layout with {@code paca_delta} D, and the authors' with {@code paca_w} = W[:, I] / scale, both
 * beside {@code paca_indices}; either is read, the first is written by {@link #save}.
 */
public final class Paca extends PeftAdapter<PeftPacaConfig> {
    static final String DELTA = ".paca_delta";
    static final String ABSOLUTE = ".paca_w";
    static final String INDICES = ".paca_indices";

    private final ColumnSelection selection;
    private final List<Merged> merged = new ArrayList<>();
    private Reselector reselector;

    /** A projection whose weight the adapter went into, and what gives it back. */
    private record Merged(Projection projection, PartialColumns part) {}

    private Paca(PeftPacaConfig config, ColumnSelection selection, Origin origin) {
        super(config, origin);
        this.selection = selection;
    }

    /** A fresh adapter with random columns, to be trained. */
    public static Paca create(PeftPacaConfig config) {
        return create(config, ColumnSelection.random(config.randomSeed()));
    }

    /** A fresh adapter, to be trained. */
    public static Paca create(PeftPacaConfig config, ColumnSelection selection) {
        return new Paca(config, selection, Origin.fresh(0));
    }

    /** An adapter from a directory, to be trained further. */
    public static Paca load(Path directory) {
        return new Paca(PeftPacaConfig.read(directory), null, Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Paca frozen(Path directory) {
        return new Paca(PeftPacaConfig.read(directory), null, Origin.of(directory, false));
    }

    /**
     * Trains other columns every so many optimiser steps (cf. the bandit of Tripathi and Diddigi over PaCA's columns): those
     * that are given up stay as they were trained and are part of the file, which holds the columns of all choices. By
     * gradient, backward keeps every targeted layer's input, and one gradient of each shape of weight.
     *
     * @param every optimiser steps
     */
    public Paca reselecting(int every, Reselection by) {
        if (every < 1) {
            throw new IllegalArgumentException("Paca: columns cannot be chosen again every " + every + " steps");
        }
        reselector = new Reselector(every, by, config.randomSeed());
        return this;
    }

    /** On codes the trained columns lie beside the weight. */
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
        if (!dense && reselector != null) {
            throw new IllegalArgumentException("Paca: " + module + " is " + weight.kind()
                    + ", whose columns cannot be chosen again: those given up have no place in it");
        }
        if (!dense) {
            return new ColumnSlab(train(scope, new Parameter(key + DELTA, delta)), indices, scale);
        }
        Tensor original = scope.tensor(Memory.ADAPTER, weight.dtype(), weight.n(), rank);
        io.graft.ops.Paca.read(context, weight, indices, original);
        if (absolute) {
            addOriginal(context, delta, original, -1 / scale);
        }
        Parameter parameter = train(scope, new Parameter(key + DELTA, delta))
                .withColumns(new AdamWParameters.Columns(weight, indices, original, scale));
        PartialColumns.Measure measure = reselector == null ? null : reselector.measure(scope, weight);
        PartialColumns part = new PartialColumns(parameter, indices, original, scale, measure);
        if (reselector != null) {
            reselector.add(projection, part);
        }
        return part;
    }

    @Override
    public boolean trainsWithoutGradients() {
        return reselector == null || !reselector.byGradient();
    }

    /** why not by gradient: some steps' passes measure, others do not. */
    @Override
    public boolean repeats() {
        return reselector == null || !reselector.byGradient();
    }

    @Override
    public boolean changesMoments() {
        return reselector != null;
    }

    @Override
    public void starting(long steps) {
        if (reselector != null) {
            reselector.starting(steps);
        }
    }

    @Override
    public void stepped(OptimiserStep step) {
        if (reselector != null) {
            reselector.stepped(step);
        }
    }

    @Override
    public Map<String, Tensor> state() {
        return reselector == null ? Map.of() : reselector.state();
    }

    @Override
    public void restoring(Function<String, long[]> shapes) {
        if (reselector != null) {
            reselector.restoring(shapes);
        }
    }

    @Override
    public void restored(long steps) {
        if (reselector != null) {
            reselector.restored(steps);
        }
    }

    /** columns += factor · original: the same op that adds a delta to W's columns, on a matrix of r columns. */
    static void addOriginal(Context context, Tensor columns, Tensor original, double factor) {
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
                retired(projection).ifPresent(part -> part.restore(projection.weight()));
            }
        }
    }

    /** Puts the trained columns in place again. */
    public void enable() {
        for (Projection projection : projections()) {
            if (projection.attachment() instanceof ColumnSlab slab) {
                slab.enable(true);
            }
            retired(projection).ifPresent(part -> part.write(projection.weight()));
        }
        changed();
    }

    @Override
    public void merge() {
        enable();
        for (Projection projection : projections()) {
            if (projection.attachment() instanceof PartialColumns part) {
                merged.add(new Merged(projection, part));
            }
            retired(projection).ifPresent(part -> merged.add(new Merged(projection, part)));
        }
        super.merge();
    }

    /** Takes out what {@link #merge} left in the weights: the model is the base bit by bit, without the adapter. */
    public void unmerge() {
        if (merged.isEmpty()) {
            throw new IllegalStateException("Paca.unmerge: nothing is merged");
        }
        merged.forEach(one -> one.part().restore(one.projection().weight()));
        merged.clear();
    }

    private Optional<PartialColumns> retired(Projection projection) {
        return Optional.ofNullable(reselector).map(r -> r.retired(projection)).filter(part -> part.kept() > 0);
    }

    @Override
    public void save(Path directory) {
        if (reselector == null || projections().isEmpty()) {
            super.save(directory);
        } else {
            files(files -> files.saveDelta(directory));
        }
    }

    /** As {@link #save}, in the layout of the authors' code: {@code paca_w} = W[:, I] / scale. */
    public void saveAbsolute(Path directory) {
        files(files -> files.saveAbsolute(directory));
    }

    /** As {@link #save}, as the LoRA adapter that does the same: the rows of A select the columns, B is the delta. */
    public void saveLora(Path directory) {
        files(files -> files.saveLora(directory));
    }

    private void files(Consumer<PacaFiles> save) {
        if (projections().isEmpty()) {
            throw new IllegalStateException("Paca: nothing is attached that could be saved in another layout");
        }
        try (Scope scope = projections().get(0).weight().scope().context().scope()) {
            PacaFiles files = new PacaFiles(scope, this, tensors());
            for (Projection projection : projections()) {
                files.add(projection, retired(projection).orElse(null));
            }
            save.accept(files);
        }
    }
}
