package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.LargestEntries;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.nn.SparseEntries;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * SPT (arXiv 2303.08566, section 3): a budget of trained numbers goes where the model is sensitive. A weight's sensitivity is
 * Σ g² over some examples, by how much a step along it lowers the loss; the most sensitive entries of all targets together
 * are counted by layer, and a layer that has at least as many as LoRA has numbers gets LoRA, the others train their sensitive
 * entries alone. Layers without any stay as they are.
 *
 * <p>Files: a folder for each kind, as {@link Combined} has; or of one kind, where the other has no layer.
 */
public final class Spt implements Adapter {
    private final String baseModel;
    private final PeftLoraConfig config;
    private final long seed;
    private Adaptable model;
    private Adapter chosen;

    private Spt(String baseModel, PeftLoraConfig config, long seed) {
        this.baseModel = baseModel;
        this.config = config;
        this.seed = seed;
    }

    /**
     * A fresh adapter, to be trained after {@link #calibrate}.
     *
     * @param config the LoRA that a layer may get; the budget is what it would have in all of its targets
     */
    public static Spt create(String baseModel, PeftLoraConfig config, long seed) {
        return new Spt(baseModel, config, seed);
    }

    @Override
    public int border(String module) {
        return config.targets(module) ? config.rank(module) : 0;
    }

    @Override
    public void attach(Adaptable to) {
        if (model != null) {
            throw new IllegalStateException("Spt.attach: already attached to a model");
        }
        model = to;
        List<Projection> targets = targets();
        if (targets.isEmpty()) {
            throw new IllegalArgumentException("Spt: " + config + " targets no module of the model");
        }
        for (Projection projection : targets) {
            if (projection.weight().kind() != Weight.Kind.DENSE) {
                throw new IllegalArgumentException("Spt: " + projection.module() + " is "
                        + projection.weight().kind() + "; sensitivities need a dense base");
            }
            projection.attach(observer(projection));
        }
    }

    private List<Projection> targets() {
        return model.projections().stream()
                .filter(projection -> config.targets(projection.module()))
                .toList();
    }

    /** No entries: only what it observes matters. */
    private SparseEntries observer(Projection projection) {
        DType wide = Precision.accumulator(projection.dtype());
        Scope scope = model.scope();
        Parameter none = new Parameter(projection.module(), scope.tensor(Memory.ADAPTER, wide, 0)).train(scope);
        Tensor indices = scope.tensor(Memory.ADAPTER, DType.I32, 2, 0);
        return new SparseEntries(none, indices, scope.tensor(Memory.ADAPTER, projection.dtype(), 0), false);
    }

    @Override
    public boolean needsCalibration() {
        return chosen == null;
    }

    /** Until it returns, fp32 sums of the full shape of all targets exist, and one gradient of each shape. */
    @Override
    public void calibrate(int examples, IntConsumer pass) {
        if (chosen != null) {
            throw new IllegalStateException("Spt.calibrate: layers have their parts already");
        }
        List<Projection> targets = targets();
        Map<String, long[]> sensitive = new LinkedHashMap<>();
        try (Scope scope = model.scope().context().scope()) {
            Map<List<Long>, Tensor> passes = new HashMap<>();
            List<Tensor> squares = new ArrayList<>();
            long budget = 0;
            for (Projection projection : targets) {
                Weight w = projection.weight();
                Tensor one = passes.computeIfAbsent(List.of(w.n(), w.k()), shape -> whole(scope, w));
                squares.add(whole(scope, w));
                ((SparseEntries) projection.attachment())
                        .observe(new SparseEntries.Observation(one, null, squares.get(squares.size() - 1)));
                budget += numbers(projection);
            }
            for (int i = 0; i < examples; i++) {
                pass.accept(i);
            }
            LargestEntries largest = LargestEntries.of(squares, budget);
            for (int i = 0; i < targets.size(); i++) {
                sensitive.put(targets.get(i).module(), largest.of(i));
                targets.get(i).detach();
            }
        }
        chosen = choose(targets, sensitive);
        chosen.attach(model);
    }

    private static Tensor whole(Scope scope, Weight w) {
        return scope.tensor(Memory.GRADIENT, Precision.accumulator(w.dtype()), w.n(), w.k());
    }

    /** What LoRA trains of a layer. */
    private long numbers(Projection projection) {
        Weight w = projection.weight();
        return config.rank(projection.module()) * (w.n() + w.k());
    }

    private Adapter choose(List<Projection> targets, Map<String, long[]> sensitive) {
        Map<String, Integer> ranks = new LinkedHashMap<>();
        Map<String, long[]> entries = new LinkedHashMap<>();
        for (Projection projection : targets) {
            String module = projection.module();
            long count = sensitive.get(module).length;
            boolean whole = count >= numbers(projection);
            ranks.put(module, whole ? config.rank(module) : 0);
            if (!whole && count > 0) {
                entries.put(module, sensitive.get(module));
            }
        }
        Map<String, Adapter> parts = new LinkedHashMap<>();
        if (ranks.values().stream().anyMatch(rank -> rank > 0)) {
            parts.put("lora", Lora.create(config.redistributed(ranks), seed));
        }
        if (!entries.isEmpty()) {
            parts.put("entries", Shira.of(baseModel, entries));
        }
        return parts.size() > 1 ? Combined.of(parts) : parts.values().iterator().next();
    }

    @Override
    public List<Parameter> parameters() {
        return chosen == null ? List.of() : chosen.parameters();
    }

    @Override
    public String key(Parameter parameter) {
        return chosen.key(parameter);
    }

    @Override
    public void changed() {
        if (chosen != null) {
            chosen.changed();
        }
    }

    @Override
    public void merge() {
        chosen.merge();
    }

    @Override
    public void save(Path directory) {
        if (chosen == null) {
            throw new IllegalStateException("Spt.save: nothing is chosen yet");
        }
        chosen.save(directory);
    }
}
