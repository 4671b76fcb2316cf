package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.nn.LowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.ops.LoraLinear;
import io.graft.ops.Random;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * PeriodicLoRA (arXiv 2402.16141, section 3.2): every so many steps the base takes BA in, and factors start anew with
 * moments of zero, so that the sum has a higher rank than any of its parts. The factors that went in are kept, for a file
 * of plain LoRA that holds the sum for the base as it was.
 */
final class PeriodicMerging {
    private final int period;
    private final PeftLoraConfig config;
    private final long seed;
    private final List<Projection> projections;
    private final Map<String, Tensor> kept = new LinkedHashMap<>();
    private Scope scope;
    private long planned = Long.MAX_VALUE;

    PeriodicMerging(int period, PeftLoraConfig config, long seed, List<Projection> projections) {
        this.period = period;
        this.config = config;
        this.seed = seed;
        this.projections = projections;
        keep(0);
    }

    private static LowRank part(Projection projection) {
        return (LowRank) projection.attachment();
    }

    /** Room for the factors of so many periods; returns what was there before, which the caller closes. */
    private Scope keep(int periods) {
        Scope before = scope;
        scope = projections.get(0).weight().scope().scope();
        for (Projection projection : projections) {
            LowRank low = part(projection);
            int rank = periods * low.rank();
            kept.put(
                    projection.module() + ".A",
                    tensor(low.a().value(), rank, low.a().value().size(1)));
            kept.put(
                    projection.module() + ".B",
                    tensor(low.b().value(), low.b().value().size(0), rank));
        }
        return before;
    }

    private Tensor tensor(Tensor like, long rows, long columns) {
        return scope.tensor(Memory.ADAPTER, like.dtype(), rows, columns);
    }

    private int periods() {
        LowRank first = part(projections.get(0));
        return (int) kept.get(projections.get(0).module() + ".A").size(0) / first.rank();
    }

    /** why: what the last period learns stays in the factors. */
    void starting(long steps) {
        planned = steps;
    }

    void stepped(OptimiserStep step) {
        if (step.number() % period != 0 || step.number() >= planned) {
            return;
        }
        int done = periods();
        Map<String, Tensor> old = new LinkedHashMap<>(kept);
        try (Scope before = keep(done + 1)) {
            for (Projection projection : projections) {
                LowRank low = part(projection);
                Context context = before.context();
                int rank = low.rank();
                Tensor a = kept.get(projection.module() + ".A");
                Tensor b = kept.get(projection.module() + ".B");
                TensorOps.copy(context, old.get(projection.module() + ".A"), a.rows(0, (long) done * rank));
                TensorOps.copy(context, old.get(projection.module() + ".B"), b.columns(0, (long) done * rank));
                TensorOps.copy(context, low.a().value(), a.rows((long) done * rank, a.size(0)));
                TensorOps.copy(context, low.b().value(), b.columns((long) done * rank, b.size(1)));
                merge(projection, low.a().value(), low.b().value());
                renew(projection, low, done + 1, step.moments());
            }
        }
    }

    private void merge(Projection projection, Tensor a, Tensor b) {
        LoraLinear.merge(
                a.scope().context(),
                projection.weight(),
                a,
                b,
                config.scale(projection.module()),
                projection.weight().matrix());
    }

    private void renew(Projection projection, LowRank low, int number, Function<Parameter, List<Tensor>> moments) {
        Context context = low.a().value().scope().context();
        long own = Lora.mix(seed ^ Lora.mix(projection.module().hashCode() + ((long) number << 32)));
        double bound = 1 / Math.sqrt(low.a().value().size(1));
        if (low.a().trainable()) {
            Random.uniform(context, own, 0, -bound, bound, low.a().value());
        }
        TensorOps.fill(context, 0, low.b().value());
        for (Parameter parameter : List.of(low.a(), low.b())) {
            if (parameter.trainable()) {
                parameter.refreshMaster();
                moments.apply(parameter).forEach(moment -> TensorOps.fill(context, 0, moment));
            }
        }
    }

    Map<String, Tensor> state() {
        return kept;
    }

    void restoring(Function<String, long[]> shapes) {
        if (periods() > 0) {
            throw new IllegalStateException(
                    "Lora: the base holds merged periods already; load the model anew to resume");
        }
        String module = projections.get(0).module();
        int rank = part(projections.get(0)).rank();
        keep((int) shapes.apply(module + ".A")[0] / rank).close();
    }

    /** One period after the other, so that every bit of the base is what it was. */
    void restored() {
        for (Projection projection : projections) {
            int rank = part(projection).rank();
            Tensor a = kept.get(projection.module() + ".A");
            Tensor b = kept.get(projection.module() + ".B");
            for (long from = 0; from < a.size(0); from += rank) {
                try (Scope staging = a.scope().context().scope()) {
                    // why copies: the product with columns of a wider matrix may add up in another order.
                    Tensor down = staging.tensor(Memory.WORKSPACE, a.dtype(), rank, a.size(1));
                    Tensor up = staging.tensor(Memory.WORKSPACE, b.dtype(), b.size(0), rank);
                    TensorOps.copy(staging.context(), a.rows(from, from + rank), down);
                    TensorOps.copy(staging.context(), b.columns(from, from + rank), up);
                    merge(projection, down, up);
                }
            }
        }
    }

    /** The configuration of all periods beside each other. */
    PeftLoraConfig whole() {
        return config.times(periods() + 1);
    }

    /** The adapter's tensors with, in each module, the kept factors behind its own. */
    Map<String, Tensor> whole(Scope staging, Map<String, Tensor> tensors) {
        Map<String, Tensor> all = new LinkedHashMap<>(tensors);
        for (Projection projection : projections) {
            String key = PeftAdapter.PREFIX + projection.module() + ".lora_";
            Tensor keptA = kept.get(projection.module() + ".A");
            Tensor keptB = kept.get(projection.module() + ".B");
            all.computeIfPresent(key + "A.weight", (name, a) -> {
                Tensor both = staging.tensor(Memory.WORKSPACE, a.dtype(), a.size(0) + keptA.size(0), a.size(1));
                TensorOps.copy(staging.context(), a, both.rows(0, a.size(0)));
                TensorOps.copy(staging.context(), keptA, both.rows(a.size(0), both.size(0)));
                return both;
            });
            all.computeIfPresent(key + "B.weight", (name, b) -> {
                Tensor both = staging.tensor(Memory.WORKSPACE, b.dtype(), b.size(0), b.size(1) + keptB.size(1));
                TensorOps.copy(staging.context(), b, both.columns(0, b.size(1)));
                TensorOps.copy(staging.context(), keptB, both.columns(b.size(1), both.size(1)));
                return both;
            });
        }
        return all;
    }
}
