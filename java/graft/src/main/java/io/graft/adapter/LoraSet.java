package io.graft.adapter;

import io.graft.nn.Adaptable;
import io.graft.nn.AttentionBlock;
import io.graft.nn.BlockShape;
import io.graft.nn.LowRank;
import io.graft.nn.LowRankSet;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Several LoRA adapters on one model, of which each row of a batch names the one that it uses
 * ({@link io.graft.model.Batch#withAdapters}), as PEFT's {@code adapter_names}. One step trains several, each by its own
 * rows; one that no row of a step names gets a gradient of zero, which the optimiser's momentum and decay go past.
 * No weight has a border: it would make every row pay for the ranks of all adapters.
 */
public final class LoraSet implements Adapter {
    /** The name that rows without an adapter give, PEFT's. */
    public static final String BASE = "__base__";

    private record Saved(String adapter, String key) {}

    private final Map<String, Lora> parts;
    private final List<Parameter> parameters = new ArrayList<>();
    private final Map<Parameter, Saved> places = new IdentityHashMap<>();

    private LoraSet(Map<String, Lora> parts) {
        this.parts = new LinkedHashMap<>(parts);
        if (parts.isEmpty() || parts.containsKey(BASE)) {
            throw new IllegalArgumentException("LoraSet: " + parts.keySet() + " are not names of adapters");
        }
        expectPlain("LoraSet", parts);
    }

    static void expectPlain(String user, Map<String, Lora> parts) {
        parts.forEach((name, lora) -> {
            if (!lora.movesNothingElse()) {
                throw new IllegalArgumentException(user + ": adapter '" + name + "' does more than add BA: "
                        + lora.config() + "; DoRA, modules_to_save and starts that change the base stand alone");
            }
        });
    }

    /** These adapters, fresh or from files, trained or frozen, by name. */
    public static LoraSet of(Map<String, Lora> parts) {
        return new LoraSet(parts);
    }

    /** Adapters from directories in PEFT's layout, by name, to be trained further. */
    public static LoraSet load(Map<String, Path> directories) {
        Map<String, Lora> parts = new LinkedHashMap<>();
        directories.forEach((name, directory) -> parts.put(name, Lora.load(directory)));
        return new LoraSet(parts);
    }

    /** Adapters from directories in PEFT's layout, by name, without gradients. */
    public static LoraSet frozen(Map<String, Path> directories) {
        Map<String, Lora> parts = new LinkedHashMap<>();
        directories.forEach((name, directory) -> parts.put(name, Lora.frozen(directory)));
        return new LoraSet(parts);
    }

    @Override
    public List<String> names() {
        return List.copyOf(parts.keySet());
    }

    /** The model as an adapter sees that is attached, and taken off again, before the next one comes. */
    private record Borrowed(Adaptable model, Scope scope) implements Adaptable {
        @Override
        public BlockShape shape() {
            return model.shape();
        }

        @Override
        public int layers() {
            return model.layers();
        }

        @Override
        public DType dtype() {
            return model.dtype();
        }

        @Override
        public Parameter embedding() {
            return model.embedding();
        }

        @Override
        public List<Projection> projections() {
            return model.projections();
        }

        @Override
        public List<String> unused() {
            return model.unused();
        }

        @Override
        public Tensor inverseFrequencies() {
            return model.inverseFrequencies();
        }

        @Override
        public AttentionBlock attention(int layer) {
            return model.attention(layer);
        }

        @Override
        public List<Parameter> parameters() {
            return model.parameters();
        }
    }

    @Override
    public void attach(Adaptable model) {
        try (Scope scope = model.scope().scope()) {
            Map<Projection, List<LowRank>> all = new LinkedHashMap<>();
            model.projections().forEach(projection -> all.put(projection, new ArrayList<>()));
            for (Lora lora : parts.values()) {
                lora.attach(new Borrowed(model, scope));
                all.forEach((projection, parts) -> {
                    parts.add((LowRank) projection.attachment());
                    projection.detach();
                });
            }
            all.forEach((projection, parts) -> {
                if (parts.stream().anyMatch(part -> part != null)) {
                    projection.attach(together(model.scope(), projection, parts));
                }
            });
        }
    }

    /** The parts of one projection side by side, in the order of the names; null for an adapter that has none there. */
    private LowRankSet together(Scope scope, Projection projection, List<LowRank> lows) {
        int count = lows.size();
        int[] ranks = new int[count];
        double[] scales = new double[count];
        int sum = 0;
        int largest = 0;
        LowRank some = null;
        LowRank trained = null;
        for (int e = 0; e < count; e++) {
            LowRank low = lows.get(e);
            if (low != null) {
                ranks[e] = low.rank();
                scales[e] = low.scale();
                sum += ranks[e];
                largest = Math.max(largest, ranks[e]);
                some = low;
                trained = low.trainable() ? oneDropout(projection, trained, low) : trained;
            }
        }
        DType wide = Precision.accumulator(projection.dtype());
        Tensor a = scope.tensor(Memory.ADAPTER, wide, sum, projection.weight().k());
        Tensor b = scope.tensor(Memory.ADAPTER, wide, projection.weight().n(), sum);
        Tensor da = trained == null ? null : scope.tensor(Memory.GRADIENT, wide, a.shape());
        Tensor db = trained == null ? null : scope.tensor(Memory.GRADIENT, wide, b.shape());
        int first = 0;
        int e = 0;
        for (String name : parts.keySet()) {
            LowRank low = lows.get(e);
            int end = first + ranks[e++];
            if (low != null) {
                count(name, low.a(), a.rows(first, end), da == null ? null : da.rows(first, end));
                count(name, low.b(), b.columns(first, end), db == null ? null : db.columns(first, end));
            }
            first = end;
        }
        return new LowRankSet(
                scope.host().tensor(Memory.ADAPTER, DType.I32, count).set(ranks),
                scope.host().tensor(Memory.ADAPTER, DType.F64, count).set(scales),
                a,
                b,
                da,
                db,
                largest,
                trained == null ? 0 : trained.dropout(),
                some.dropoutKey());
    }

    private static LowRank oneDropout(Projection projection, LowRank other, LowRank low) {
        if (other != null && other.dropout() != low.dropout()) {
            throw new IllegalArgumentException("LoraSet: trained adapters with lora_dropout " + other.dropout()
                    + " and " + low.dropout() + " on " + projection.module() + "; one batch has one dropout");
        }
        return low;
    }

    /** Moves a parameter into its place among those of the other adapters. */
    private void count(String name, Parameter alone, Tensor value, Tensor gradient) {
        TensorOps.copy(value.scope().context(), alone.value(), value);
        int module = alone.name().lastIndexOf(".weight");
        Parameter counted = new Parameter(alone.name().substring(0, module) + "." + name + ".weight", value)
                .withRateFactor(alone.rateFactor());
        places.put(counted, new Saved(name, alone.name()));
        parameters.add(alone.trainable() ? counted.trainInto(gradient) : counted);
    }

    /** What is trained; the frozen adapters are not among them. */
    @Override
    public List<Parameter> parameters() {
        return parameters.stream()
                .filter(parameter -> !trained() || parameter.trainable())
                .toList();
    }

    /** The key in the file of its own adapter. */
    @Override
    public String key(Parameter parameter) {
        Saved saved = places.get(parameter);
        return saved == null ? parameter.name() : saved.key();
    }

    /** The name of the adapter that a parameter belongs to. */
    public String owner(Parameter parameter) {
        return places.get(parameter).adapter();
    }

    @Override
    public boolean trained() {
        return parts.values().stream().anyMatch(Lora::trained);
    }

    @Override
    public void changed() {}

    @Override
    public boolean mergeable() {
        return false;
    }

    @Override
    public void merge() {
        throw new UnsupportedOperationException("LoraSet.merge: no weight can hold several adapters; load one alone");
    }

    /** Writes each adapter into a folder of its name, as PEFT does. */
    @Override
    public void save(Path directory) {
        parts.forEach((name, lora) -> save(name, directory.resolve(name)));
    }

    /** Writes one of the adapters. */
    public void save(String name, Path directory) {
        Lora lora = parts.get(name);
        if (lora == null) {
            throw new IllegalArgumentException("LoraSet.save: no adapter '" + name + "' among " + parts.keySet());
        }
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (Parameter parameter : parameters) {
            if (owner(parameter).equals(name)) {
                tensors.put(key(parameter), parameter.value());
            }
        }
        lora.write(directory, lora.config(), tensors);
    }
}
