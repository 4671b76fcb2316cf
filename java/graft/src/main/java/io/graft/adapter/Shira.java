package io.graft.adapter;

import io.graft.io.PeftShiraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.nn.SparseEntries;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.IntConsumer;

/**
 * Sparse fine-tuning: of each targeted projection {@code r · (in + out)} entries of W are trained in place (SHiRA, arXiv
 * 2406.13175); which ones is the {@link EntrySelection}'s business, and what sets the methods of this family apart. Fresh
 * adapters start at zero, so that step 0 is the base model bit by bit. The base model's entries are kept: {@link #disable}
 * gives them back.
 *
 * <p>Files: PEFT's, {@code shira_weight} [nnz] beside {@code shira_indices} [2, nnz].
 */
public final class Shira extends PeftAdapter<PeftShiraConfig> {
    static final String WEIGHT = ".shira_weight";
    static final String INDICES = ".shira_indices";

    private final EntrySelection selection;
    private final Map<String, long[]> given;
    private boolean chosen;
    private EntryReselector reselector;

    private Shira(PeftShiraConfig config, EntrySelection selection, Map<String, long[]> given, Origin origin) {
        super(config, origin);
        this.selection = selection;
        this.given = given;
        this.chosen = selection == null || selection.needs() == EntrySelection.Needs.NOTHING;
    }

    /** A fresh adapter, to be trained; where the selection needs gradients, after {@link #calibrate}. */
    public static Shira create(
            String baseModel, List<String> targets, int rank, EntrySelection selection, long randomSeed) {
        return new Shira(
                PeftShiraConfig.of(baseModel, targets, rank, selection.name(), randomSeed),
                selection,
                null,
                Origin.fresh(0));
    }

    /**
     * A fresh adapter of given entries, as many as there are; the file has room for more where PEFT's layout has.
     *
     * @param entries by module, each {@code row · in + column}, in ascending order
     */
    public static Shira of(String baseModel, Map<String, long[]> entries) {
        List<String> modules = entries.keySet().stream().sorted().toList();
        EntrySelection selection = EntrySelection.given(entries);
        return new Shira(
                PeftShiraConfig.of(baseModel, modules, 1, selection.name(), 0),
                selection,
                Map.copyOf(entries),
                Origin.fresh(0));
    }

    /** An adapter from a directory, to be trained further. */
    public static Shira load(Path directory) {
        return new Shira(PeftShiraConfig.read(directory), null, null, Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Shira frozen(Path directory) {
        return new Shira(PeftShiraConfig.read(directory), null, null, Origin.of(directory, false));
    }

    /**
     * Chooses other entries while training, with the training examples that the model predicts worst (Fish-Dip, arXiv
     * 2311.03748, section 3): those that are given up stay as they were trained and are part of the file. Where the selection
     * needs no gradients, the examples are not looked at.
     *
     * @param every optimiser steps
     * @param examples how many of the rows of these steps' batches, those with the largest loss
     */
    public Shira reselecting(int every, int examples) {
        if (every < 1 || examples < 1) {
            throw new IllegalArgumentException(
                    "Shira: entries cannot be chosen again every " + every + " steps by " + examples + " examples");
        }
        if (selection.needs() == EntrySelection.Needs.NOTHING) {
            throw new IllegalArgumentException(
                    "Shira: entries are chosen again by gradients, which '" + selection.name() + "' does not look at");
        }
        reselector = new EntryReselector(every, examples);
        return this;
    }

    @Override
    boolean servesCodes(String module) {
        return false;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        Weight weight = projection.weight();
        String module = projection.module();
        String key = PREFIX + module;
        long count = given == null ? config.entries(weight.n(), weight.k()) : given.get(module).length;
        long wanted = config.rank() * (weight.n() + weight.k());
        if (!fromFile() && given == null && count < wanted) {
            throw new IllegalArgumentException("Shira: r is " + config.rank() + ", which makes " + wanted
                    + " entries of " + module + ", but it has only " + count);
        }
        Tensor indices = scope.tensor(Memory.ADAPTER, DType.I32, 2, count);
        Tensor delta = scope.tensor(Memory.ADAPTER, Precision.accumulator(projection.dtype()), count);
        Tensor original = scope.tensor(Memory.ADAPTER, weight.dtype(), count);
        if (fromFile()) {
            read(key + INDICES, indices);
            read(key + WEIGHT, delta);
        } else if (chosen) {
            selection.chooser().choose(projection, null, indices);
        }
        constant(key + INDICES, indices);
        Parameter parameter = train(scope, new Parameter(key + WEIGHT, delta));
        SparseEntries part = new SparseEntries(parameter, indices, original, false);
        if (chosen) {
            part.chosen(weight);
        }
        if (reselector != null) {
            reselector.add(projection, part);
        }
        return part;
    }

    @Override
    public boolean trainsWithoutGradients() {
        return reselector == null;
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
        chosen &= reselector == null || !reselector.due(step);
    }

    @Override
    public Recalibration recalibration() {
        return chosen ? null : reselector.recalibration();
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
            reselector.restored();
            chosen = true;
        }
    }

    @Override
    public boolean needsCalibration() {
        return !chosen;
    }

    /**
     * Chooses the entries by gradients of the targeted weights: fp32 sums of their full shape exist for all of them until
     * it returns, and for squares one gradient of each shape.
     */
    @Override
    public void calibrate(int examples, IntConsumer pass) {
        if (chosen) {
            throw new IllegalStateException("Shira.calibrate: the entries are chosen already");
        }
        Context context = projections().get(0).weight().matrix().scope().context();
        Map<Projection, SparseEntries.Observation> gathered = new HashMap<>();
        boolean sums = selection.needs() != EntrySelection.Needs.SQUARES;
        boolean squares = selection.needs() != EntrySelection.Needs.GRADIENTS;
        try (Scope scope = context.scope()) {
            Map<List<Long>, Tensor> passes = new HashMap<>();
            for (Projection projection : projections()) {
                Weight w = projection.weight();
                Tensor one = squares ? passes.computeIfAbsent(List.of(w.n(), w.k()), shape -> whole(scope, w)) : null;
                gathered.put(
                        projection,
                        new SparseEntries.Observation(
                                one, sums ? whole(scope, w) : null, squares ? whole(scope, w) : null));
                part(projection).observe(gathered.get(projection));
            }
            for (int i = 0; i < examples; i++) {
                pass.accept(i);
            }
            for (Projection projection : projections()) {
                SparseEntries part = part(projection);
                SparseEntries.Observation all = gathered.get(projection);
                Tensor indices =
                        scope.tensor(Memory.WORKSPACE, DType.I32, part.indices().shape());
                selection.chooser().choose(projection, new EntrySelection.Gathered(all.sums(), all.squares()), indices);
                if (part.isChosen()) {
                    reselector.exchange(projection, indices);
                } else {
                    TensorOps.copy(context, indices, part.indices());
                    part.chosen(projection.weight());
                }
            }
            chosen = true;
        } finally {
            projections().forEach(projection -> part(projection).observe(null));
        }
    }

    private static Tensor whole(Scope scope, Weight weight) {
        return scope.tensor(Memory.GRADIENT, Precision.accumulator(weight.dtype()), weight.n(), weight.k());
    }

    private static SparseEntries part(Projection projection) {
        return (SparseEntries) projection.attachment();
    }

    /** Gives the model its own entries back, bit by bit, until {@link #enable}. */
    public void disable() {
        for (Projection projection : projections()) {
            part(projection).restore(projection.weight());
            if (reselector != null) {
                reselector.retired(projection).restore(projection.weight());
            }
        }
    }

    /** Puts the trained entries in place again. */
    public void enable() {
        for (Projection projection : projections()) {
            if (reselector != null) {
                reselector.retired(projection).write(projection.weight());
            }
        }
        changed();
    }

    @Override
    public void merge() {
        enable();
        super.merge();
    }

    /** Where there were several choices, the entries of all; of any number, the smallest r that has room for them. */
    @Override
    public void save(Path directory) {
        if (reselector == null && given == null || projections().isEmpty()) {
            super.save(directory);
            return;
        }
        Map<Projection, EntryReselector.Entries> all = new LinkedHashMap<>();
        for (Projection projection : projections()) {
            all.put(
                    projection,
                    reselector != null
                            ? reselector.all(projection)
                            : EntryReselector.Entries.of(
                                    part(projection), projection.weight().k()));
        }
        try (Scope scope = projections().get(0).weight().scope().context().scope()) {
            EntryFiles.write(scope, this, config, all, tensors(), directory);
        }
    }
}
