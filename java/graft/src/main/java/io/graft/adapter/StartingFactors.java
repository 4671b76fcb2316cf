package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.nn.Projection;
import io.graft.ops.LoraLinear;
import io.graft.ops.Nf4;
import io.graft.ops.RowScale;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The factors that a fresh LoRA adapter takes from its base. Where the base gave them up, copies are kept, for a file of
 * plain LoRA that is valid on the base as it was: {@code B A - B₀ A₀}, of twice the rank.
 */
final class StartingFactors {
    private record Pair(Tensor a, Tensor b) {}

    private final LoraStart start;
    private final PeftLoraConfig config;
    private final long seed;
    private final Map<String, Pair> kept = new LinkedHashMap<>();

    StartingFactors(LoraStart start, PeftLoraConfig config, long seed) {
        if (start != LoraStart.ZERO && config.weightDecomposed()) {
            throw new IllegalArgumentException("Lora: " + start + " as a start does not go with use_dora");
        }
        this.start = start;
        this.config = config;
        this.seed = seed;
    }

    /** Factors of what NF4 took from the matrix, kept until {@link #fill}. */
    void quantized(Projection projection, Tensor matrix) {
        String module = projection.module();
        if (start != LoraStart.QUANTISATION_ERROR || !config.targets(module)) {
            return;
        }
        Weight weight = projection.weight();
        Pair pair = pair(weight.scope(), projection);
        try (Scope scope = weight.scope().context().scope()) {
            Tensor error = scope.tensor(Memory.WORKSPACE, DType.F32, weight.n(), weight.k());
            Nf4.dequantize(scope.context(), weight, error);
            negate(error, error);
            TensorOps.add(scope.context(), matrix, error);
            Factors.principal(error, config.scale(module), seed(module), pair.a(), pair.b());
        }
        kept.put(module, pair);
    }

    /** Fills the factors of a projection; false where they start from zero. */
    boolean fill(Scope scope, Projection projection, Tensor a, Tensor b) {
        String module = projection.module();
        Weight weight = projection.weight();
        Context context = scope.context();
        switch (start) {
            case ZERO -> {
                return false;
            }
            case QUANTISATION_ERROR -> {
                Pair pair = kept.remove(module);
                if (pair == null) {
                    throw new IllegalArgumentException("Lora: " + module + " is " + weight.kind()
                            + "; LoftQ starts from a dense checkpoint that is quantised as it is loaded");
                }
                TensorOps.copy(context, pair.a(), a);
                TensorOps.copy(context, pair.b(), b);
                pair.a().close();
                pair.b().close();
                return true;
            }
            case PRINCIPAL -> Factors.principal(weight.matrix(), config.scale(module), seed(module), a, b);
            case ORTHOGONAL -> Factors.orthogonal(weight.matrix(), a, b);
            default -> throw new IllegalStateException("Lora: " + start + " starts from examples");
        }
        giveUp(scope, projection, a, b);
        return true;
    }

    /** Takes the factors' product out of the base, and remembers it. */
    void giveUp(Scope scope, Projection projection, Tensor a, Tensor b) {
        String module = projection.module();
        Weight weight = projection.weight();
        Context context = scope.context();
        LoraLinear.merge(context, weight, a, b, -config.scale(module), weight.matrix());
        Pair copy = pair(scope, projection);
        TensorOps.copy(context, a, copy.a());
        TensorOps.copy(context, b, copy.b());
        kept.put(module, copy);
    }

    private Pair pair(Scope scope, Projection projection) {
        int rank = config.rank(projection.module());
        return new Pair(
                PeftAdapter.wide(scope, projection, rank, projection.weight().k()),
                PeftAdapter.wide(scope, projection, projection.weight().n(), rank));
    }

    LoraStart kind() {
        return start;
    }

    long seed(String module) {
        return seed ^ Lora.mix(module.hashCode());
    }

    /** Whether the base has given something up, so that a file needs {@link #doubled}. */
    boolean movedBase() {
        return start.movesBase();
    }

    /** The adapter's tensors with, in each module, A over A₀ and B beside -B₀. */
    Map<String, Tensor> doubled(Scope scope, Map<String, Tensor> tensors) {
        Map<String, Tensor> all = new LinkedHashMap<>(tensors);
        kept.forEach((module, pair) -> {
            String key = PeftAdapter.PREFIX + module + ".lora_";
            all.computeIfPresent(key + "A.weight", (name, a) -> {
                Tensor both = scope.tensor(Memory.WORKSPACE, a.dtype(), 2 * a.size(0), a.size(1));
                TensorOps.copy(scope.context(), a, both.rows(0, a.size(0)));
                TensorOps.copy(scope.context(), pair.a(), both.rows(a.size(0), 2 * a.size(0)));
                return both;
            });
            all.computeIfPresent(key + "B.weight", (name, b) -> {
                Tensor both = scope.tensor(Memory.WORKSPACE, b.dtype(), b.size(0), 2 * b.size(1));
                TensorOps.copy(scope.context(), b, both.columns(0, b.size(1)));
                negate(pair.b(), both.columns(b.size(1), 2 * b.size(1)));
                return both;
            });
        });
        return all;
    }

    private static void negate(Tensor x, Tensor y) {
        Context context = x.scope().context();
        try (Scope scope = context.scope()) {
            Tensor minus = scope.tensor(Memory.WORKSPACE, x.dtype(), x.size(0));
            TensorOps.fill(context, -1, minus);
            RowScale.forward(context, x, minus, y);
        }
    }
}
