package io.graft.adapter;

import io.graft.io.PeftConfig;
import io.graft.nn.Parameter;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.Map;

/** An adapter of which the numbers that matter least may be given up while it is trained, as an {@link ElementPruner} says. */
abstract class PrunedAdapter<C extends PeftConfig> extends PeftAdapter<C> {
    private ElementPruner pruner;

    PrunedAdapter(C config, Origin origin) {
        super(config, origin);
    }

    final void prune(ElementPruner.Plan plan) {
        pruner = new ElementPruner(plan);
    }

    final boolean pruned() {
        return pruner != null;
    }

    /** Lets the numbers of a parameter be given up. */
    final void prunable(Scope scope, Parameter parameter) {
        if (pruner != null) {
            pruner.add(scope, parameter);
        }
    }

    /** How many numbers are not given up. */
    public final long left() {
        return pruner == null
                ? parameters().stream().mapToLong(p -> p.value().elements()).sum()
                : pruner.left();
    }

    @Override
    public final boolean trainsWithoutGradients() {
        return pruner == null;
    }

    @Override
    public final double regularise() {
        if (pruner != null) {
            pruner.observe();
        }
        return 0;
    }

    @Override
    public final void starting(long steps) {
        if (pruner != null) {
            pruner.starting(steps);
        }
    }

    @Override
    public final void stepped(OptimiserStep step) {
        if (pruner != null) {
            pruner.stepped(step.number());
        }
    }

    @Override
    public final Map<String, Tensor> state() {
        return pruner == null ? Map.of() : pruner.state();
    }

    @Override
    public final void restored(long steps) {
        if (pruner != null) {
            pruner.restored(steps);
        }
    }
}
