package io.graft.adapter;

import io.graft.io.PeftShiraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.GatedDifference;
import io.graft.nn.LargestEntries;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.ops.HardConcrete;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Diff pruning (arXiv 2012.07463, section 3): a difference to every entry of the targeted weights is trained together with a
 * gate for each, and a penalty on the gates that are open closes most. After half of the steps the largest differences are
 * kept, of all targets together, as many as SHiRA of that rank trains; the others are zero from then on, and the rest of the
 * steps trains what is kept. The structured form has a gate for each whole matrix besides.
 *
 * <p>While gates are trained there are eight numbers in fp32 for each entry of the targets. The file is SHiRA's, with the
 * smallest r that has room for what is kept.
 */
public final class DiffPruning extends PeftAdapter<PeftShiraConfig> {
    /** Open at first: that is the authors' start. */
    private static final double OPEN = 5;

    /** why: a gate has to move by several units, a weight by thousandths; the authors' rates are 0.1 and 0.00005. */
    private static final double GATE_RATE = 50;

    private final boolean structured;
    private final double penalty;
    private final Map<Projection, GatedDifference> parts = new LinkedHashMap<>();
    private long offset;
    private long entries;
    private long steps = Long.MAX_VALUE;
    private long done;
    private Tensor fixed;

    private DiffPruning(PeftShiraConfig config, boolean structured, double penalty) {
        super(config, Origin.fresh(0));
        this.structured = structured;
        this.penalty = penalty;
        if (!(penalty >= 0)) {
            throw new IllegalArgumentException("DiffPruning: the penalty is " + penalty + ", must be >= 0");
        }
    }

    /**
     * A fresh difference of zeros, to be trained.
     *
     * @param rank r: in the end r · (in + out) entries of each target are kept on average
     * @param structured whether matrices have gates of their own
     * @param penalty what the loss has for all gates being open, in proportion to how many are
     */
    public static DiffPruning create(
            String baseModel, List<String> targets, int rank, boolean structured, double penalty, long seed) {
        String name = structured ? "structured_diff" : "diff";
        return new DiffPruning(PeftShiraConfig.of(baseModel, targets, rank, name, seed), structured, penalty);
    }

    @Override
    boolean servesCodes(String module) {
        return false;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        Weight w = projection.weight();
        String key = PREFIX + projection.module() + ".diff_";
        if (fixed == null) {
            fixed = scope.tensor(Memory.OPTIMIZER, DType.I64, 1);
        }
        Parameter difference = train(scope, new Parameter(key + "weight", wide(scope, projection, w.n(), w.k())));
        Parameter logits = gate(scope, key + "logits", wide(scope, projection, w.n(), w.k()));
        Parameter group = structured
                ? gate(scope, key + "group", wide(scope, projection, 1, 1).reshape(1))
                : null;
        Tensor original = scope.tensor(Memory.ADAPTER, w.dtype(), w.n(), w.k());
        TensorOps.copy(scope.context(), w.matrix(), original);
        GatedDifference part = new GatedDifference(difference, logits, group, original, offset);
        offset += w.n() * w.k() + 1;
        entries += w.n() * w.k();
        parts.put(projection, part);
        return part;
    }

    private Parameter gate(Scope scope, String key, Tensor value) {
        TensorOps.fill(scope.context(), OPEN, value);
        return train(scope, new Parameter(key, value)).withRateFactor(GATE_RATE);
    }

    @Override
    public boolean trainsWithoutGradients() {
        return false;
    }

    @Override
    public void starting(long total) {
        steps = total;
        draw();
    }

    /** Gates of the next step. */
    private void draw() {
        HardConcrete.Mode mode = isFixed() ? HardConcrete.Mode.FIXED : HardConcrete.Mode.SAMPLED;
        parts.values().forEach(part -> part.gates(mode, Lora.mix(config.randomSeed() + done)));
    }

    private boolean isFixed() {
        return fixed.longs()[0] != 0;
    }

    @Override
    public double regularise() {
        double each = isFixed() ? 0 : penalty / entries;
        double open = 0;
        for (GatedDifference part : parts.values()) {
            open += part.handOn(each);
        }
        return each * open;
    }

    @Override
    public void stepped(OptimiserStep step) {
        done = step.number();
        if (!isFixed() && done >= Math.max(1, steps / 2)) {
            fix(step);
        }
        draw();
    }

    private void fix(OptimiserStep step) {
        try (Scope scope = fixed.scope().context().scope()) {
            List<Tensor> expected = new ArrayList<>();
            long kept = 0;
            for (Map.Entry<Projection, GatedDifference> one : parts.entrySet()) {
                Weight w = one.getKey().weight();
                Tensor zeros = scope.tensor(Memory.WORKSPACE, DType.F32, w.n(), w.k());
                expected.add(scope.tensor(Memory.WORKSPACE, DType.F32, w.n(), w.k()));
                one.getValue().expected(scope.weight(expected.get(expected.size() - 1)), zeros);
                kept += config.entries(w.n(), w.k());
            }
            LargestEntries largest = LargestEntries.of(expected, kept);
            int index = 0;
            for (GatedDifference part : parts.values()) {
                keep(part, expected.get(index), largest.of(index), step);
                index++;
            }
        }
        fixed.set(new long[] {1});
    }

    /** What is kept continues from its expected difference with its moments; all else is zero, gates' moments too. */
    private static void keep(GatedDifference part, Tensor expected, long[] places, OptimiserStep step) {
        float[] values = expected.floats();
        float[] kept = new float[values.length];
        float[] open = new float[values.length];
        Arrays.fill(open, -1);
        for (long place : places) {
            kept[(int) place] = values[(int) place];
            open[(int) place] = 1;
        }
        part.difference().master().set(kept);
        part.logits().master().set(open);
        for (Tensor moment : step.moments().apply(part.difference())) {
            float[] carried = moment.floats();
            for (int i = 0; i < carried.length; i++) {
                carried[i] = open[i] > 0 ? carried[i] : 0;
            }
            moment.set(carried);
        }
        for (Tensor moment : step.moments().apply(part.logits())) {
            TensorOps.fill(moment.scope().context(), 0, moment);
        }
    }

    @Override
    public Map<String, Tensor> state() {
        return Map.of("fixed", fixed);
    }

    @Override
    public void restored(long count) {
        done = count;
        draw();
    }

    /** Gives the model its own weights back, bit by bit, until {@link #enable}. */
    public void disable() {
        parts.forEach((projection, part) -> part.restore(projection.weight()));
    }

    /** Puts the differences in place again. */
    public void enable() {
        changed();
    }

    @Override
    public void save(Path directory) {
        if (!isFixed()) {
            throw new IllegalStateException("DiffPruning.save: which entries are kept is decided after half of the "
                    + steps + " steps, of which " + done + " are done");
        }
        Map<Projection, EntryReselector.Entries> kept = new LinkedHashMap<>();
        parts.forEach((projection, part) -> kept.put(projection, entries(part)));
        try (Scope scope = fixed.scope().context().scope()) {
            EntryFiles.write(scope, this, config, kept, Map.of(), directory);
        }
    }

    private static EntryReselector.Entries entries(GatedDifference part) {
        float[] open = part.logits().master().floats();
        double[] d = part.difference().master().doubles();
        long[] places = new long[open.length];
        double[] deltas = new double[open.length];
        int count = 0;
        for (int i = 0; i < open.length; i++) {
            if (open[i] > 0) {
                places[count] = i;
                deltas[count++] = d[i];
            }
        }
        return new EntryReselector.Entries(Arrays.copyOf(places, count), Arrays.copyOf(deltas, count), null);
    }
}
