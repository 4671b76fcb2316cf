package io.graft.adapter;

import io.graft.io.PeftAdaLoraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.DerivedLowRank;
import io.graft.nn.LowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.ScaledRows;
import io.graft.ops.TensorOps;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * AdaLoRA (arXiv 2303.10512) as PEFT configures and stores it: {@code W + scale · B diag(E) A}, whose triplets of row,
 * singular value and column are given up where they matter least ({@link RankAllocator}), and whose factors are pulled
 * towards orthonormal ones ({@link Orthogonality}). Fresh adapters start as the base model: E is zero, A and B are N(0,
 * 0.02²). A file holds only the triplets that are left.
 */
public final class AdaLora extends PeftAdapter<PeftAdaLoraConfig> {
    private static final double DEVIATION = 0.02;

    private final RankAllocator allocator;
    private final Orthogonality orthogonality;
    private Scope scope;

    private AdaLora(PeftAdaLoraConfig config, Origin origin) {
        super(config, origin);
        this.allocator = new RankAllocator(config);
        this.orthogonality = new Orthogonality(config.orthogonality());
    }

    /** A fresh adapter, to be trained. */
    public static AdaLora create(PeftAdaLoraConfig config, long seed) {
        return new AdaLora(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further; ranks change only where none were given up before. */
    public static AdaLora load(Path directory) {
        return new AdaLora(PeftAdaLoraConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static AdaLora frozen(Path directory) {
        return new AdaLora(PeftAdaLoraConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    public int border(String module) {
        return config.targets(module) ? config.rank(module) : 0;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        this.scope = scope;
        String module = projection.module();
        String key = PREFIX + module + ".lora_";
        long inputs = projection.weight().k();
        int rank = config.rank(module);
        Parameter down = parameter(scope, key + "A", wide(scope, projection, rank, inputs), normal(DEVIATION));
        Parameter up = parameter(
                scope, key + "B", wide(scope, projection, projection.weight().n(), rank), normal(DEVIATION));
        Tensor e = wide(scope, projection, rank, 1).reshape(rank);
        if (fromFile()) {
            read(key + "E", e.reshape(rank, 1));
        }
        Parameter values = train(scope, new Parameter(key + "E", e));
        if (trained()) {
            orthogonality.add(scope, down, true);
            orthogonality.add(scope, up, false);
            if (config.complete()) {
                allocator.add(scope, module, down, up, values);
            }
        }
        Parameter product = new Parameter(key + "EA", wide(scope, projection, rank, inputs));
        return new DerivedLowRank(
                new LowRank(product, up, config.scale(), config.dropout(), Lora.mix(module.hashCode())),
                List.of(ScaledRows.of(product, down, values)));
    }

    @Override
    public boolean trainsWithoutGradients() {
        return false;
    }

    @Override
    public double regularise() {
        return orthogonality.apply(scope.context());
    }

    @Override
    public void stepped(OptimiserStep step) {
        allocator.stepped(step.number());
    }

    @Override
    public Map<String, Tensor> state() {
        return allocator.state();
    }

    /** The file has E as a column. */
    @Override
    Map<String, Tensor> tensors() {
        Map<String, Tensor> tensors = super.tensors();
        tensors.replaceAll((key, tensor) -> key.endsWith("lora_E") ? tensor.reshape(tensor.size(0), 1) : tensor);
        return tensors;
    }

    @Override
    public void save(Path directory) {
        Map<String, boolean[]> left = allocator.left();
        if (left.isEmpty()) {
            super.save(directory);
            return;
        }
        try (Scope staging = scope.context().scope()) {
            Map<String, Tensor> all = new LinkedHashMap<>(tensors());
            left.forEach((module, kept) -> {
                String key = PREFIX + module + ".lora_";
                all.computeIfPresent(key + "A", (name, a) -> rows(staging, a, kept));
                all.computeIfPresent(key + "E", (name, e) -> rows(staging, e, kept));
                all.computeIfPresent(key + "B", (name, b) -> columns(staging, b, kept));
            });
            write(directory, config.withLeft(left), all);
        }
    }

    private static Tensor rows(Scope scope, Tensor m, boolean[] kept) {
        Tensor some = scope.tensor(Memory.WORKSPACE, m.dtype(), count(kept), m.size(1));
        for (int from = 0, to = 0; from < kept.length; from++) {
            if (kept[from]) {
                TensorOps.copy(scope.context(), m.rows(from, from + 1), some.rows(to, to + 1));
                to++;
            }
        }
        return some;
    }

    private static Tensor columns(Scope scope, Tensor m, boolean[] kept) {
        Tensor some = scope.tensor(Memory.WORKSPACE, m.dtype(), m.size(0), count(kept));
        for (int from = 0, to = 0; from < kept.length; from++) {
            if (kept[from]) {
                TensorOps.copy(scope.context(), m.columns(from, from + 1), some.columns(to, to + 1));
                to++;
            }
        }
        return some;
    }

    private static int count(boolean[] flags) {
        int count = 0;
        for (boolean flag : flags) {
            count += flag ? 1 : 0;
        }
        return count;
    }
}
