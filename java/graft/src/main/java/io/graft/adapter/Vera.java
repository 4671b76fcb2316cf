package io.graft.adapter;

import io.graft.io.PeftVeraConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.DerivedLowRank;
import io.graft.nn.LowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.nn.ScaledRows;
import io.graft.ops.Random;
import io.graft.ops.TensorOps;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.List;

/**
 * VeRA (arXiv 2310.11454) as PEFT configures and stores it: all targeted projections share two random matrices, of which
 * each takes the part of its size, and train a vector for each side. Fresh adapters start as the base model: the scales of
 * B are zero.
 */
public final class Vera extends PeftAdapter<PeftVeraConfig> {
    private static final String SHARED = "base_model.vera_";

    private Tensor a;
    private Tensor b;

    private Vera(PeftVeraConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static Vera create(PeftVeraConfig config) {
        return new Vera(config, Origin.fresh(0));
    }

    /** An adapter from a directory, to be trained further. */
    public static Vera load(Path directory) {
        return new Vera(PeftVeraConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Vera frozen(Path directory) {
        return new Vera(PeftVeraConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    public int border(String module) {
        return config.targets(module) ? config.rank() : 0;
    }

    @Override
    void attachFront(Adaptable model) {
        long inputs = 0;
        long outputs = 0;
        for (Projection projection : model.projections()) {
            if (config.targets(projection.module())) {
                inputs = Math.max(inputs, projection.weight().k());
                outputs = Math.max(outputs, projection.weight().n());
            }
        }
        if (inputs == 0) {
            return; // no target: attach says so
        }
        Scope scope = model.scope();
        if (!model.whole()) {
            inputs = shapeInFile(SHARED + "A")[1];
            outputs = shapeInFile(SHARED + "B")[0];
        }
        a = scope.tensor(Memory.ADAPTER, Precision.accumulator(model.dtype()), config.rank(), inputs);
        b = scope.tensor(Memory.ADAPTER, a.dtype(), outputs, config.rank());
        if (fromFile()) {
            read(SHARED + "A", a);
            read(SHARED + "B", b);
        } else {
            uniform(a, 0);
            uniform(b, a.elements());
        }
        constant(SHARED + "A", a);
        constant(SHARED + "B", b);
    }

    /** Kaiming's bound, with which PEFT too fills them. */
    private void uniform(Tensor matrix, long offset) {
        double bound = Math.sqrt(6.0 / matrix.size(1));
        Random.uniform(matrix.scope().context(), config.seed(), offset, -bound, bound, matrix);
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module() + ".vera_lambda_";
        long rank = config.rank();
        long inputs = projection.weight().k();
        long outputs = projection.weight().n();
        Tensor d = scope.tensor(Memory.ADAPTER, a.dtype(), rank);
        Tensor u = scope.tensor(Memory.ADAPTER, a.dtype(), outputs);
        if (fromFile()) {
            read(key + "d", d);
            read(key + "b", u);
        } else {
            TensorOps.fill(scope.context(), config.initialScale(), d);
        }
        Parameter down = new Parameter(key + "A", wide(scope, projection, rank, inputs));
        Parameter up = new Parameter(key + "B", wide(scope, projection, outputs, rank));
        Parameter scaleD = train(scope, new Parameter(key + "d", d));
        Parameter scaleB = train(scope, new Parameter(key + "b", u));
        Parameter sharedA =
                new Parameter(SHARED + "A", a.view(0, new long[] {rank, inputs}, new long[] {a.stride(0), 1}));
        Parameter sharedB = new Parameter(SHARED + "B", b.view(0, new long[] {outputs, rank}, new long[] {rank, 1}));
        return new DerivedLowRank(
                new LowRank(
                        down,
                        up,
                        1,
                        config.dropout(),
                        Lora.mix(projection.module().hashCode())),
                List.of(ScaledRows.of(down, sharedA, scaleD), ScaledRows.of(up, sharedB, scaleB)));
    }
}
