package io.graft.adapter;

import io.graft.io.PeftLstConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.SideNetwork;
import io.graft.ops.Random;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import java.nio.file.Path;

/**
 * Ladder side tuning (LST, arXiv 2206.06522): a narrow network beside the model is trained, and backward never enters the
 * model. A fresh network's blocks are N(0, 0.02²), its norms one, its gates half open; what widens its end is zero, so
 * that step 0 is the base model. The paper starts from pruned weights of the model instead.
 *
 * <p>Files: the network's tensors, {@code side.…}.
 */
public final class Lst extends PeftAdapter<PeftLstConfig> {
    private static final double DEVIATION = 0.02;

    private SideNetwork side;

    private Lst(PeftLstConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh network, to be trained. */
    public static Lst create(PeftLstConfig config, long seed) {
        return new Lst(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Lst load(Path directory) {
        return new Lst(PeftLstConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Lst frozen(Path directory) {
        return new Lst(PeftLstConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    void attachFront(Adaptable model) {
        Scope scope = model.scope();
        if (model.inverseFrequencies() == null) {
            throw new IllegalArgumentException(
                    "Lst: the model has learned positions; a side network needs rotary ones");
        }
        side = new SideNetwork(
                scope, model.dtype(), model.shape(), model.layers(), config.reduction(), model.inverseFrequencies());
        for (Parameter parameter : side.parameters()) {
            if (!fromFile()) {
                initialise(scope.context(), parameter, skip(parameter.value()));
            }
            train(scope, parameter);
            if (fromFile()) {
                read(parameter.name(), parameter.best());
                parameter.refreshValue();
            }
        }
    }

    private void initialise(Context context, Parameter parameter, long offset) {
        String name = parameter.name();
        if (name.endsWith("norm.weight")) {
            TensorOps.fill(context, 1, parameter.value());
        } else if (name.endsWith("down.weight")) {
            double bound = 1 / Math.sqrt(parameter.value().size(1));
            Random.uniform(context, seed, offset, -bound, bound, parameter.value());
        } else if (parameter.value().rank() == 2 && !name.equals("side.up.weight")) {
            Random.normal(context, seed, offset, 0, DEVIATION, parameter.value());
        }
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        throw new IllegalStateException("a side network attaches to no projection");
    }

    @Override
    public String key(Parameter parameter) {
        return parameter.name();
    }

    @Override
    public SideNetwork side() {
        return side;
    }

    /** Refused: a network beside the model is in none of its weights. */
    @Override
    public boolean mergeable() {
        return false;
    }
}
