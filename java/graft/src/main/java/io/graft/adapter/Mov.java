package io.graft.adapter;

import io.graft.io.PeftMovConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.MixedScales;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.Router;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * MoV (arXiv 2309.05444, section 2.2): (IA)³ whose vectors are, for each token, a mixture of trained ones, weighed by a
 * router on the projection's input. Fresh vectors are 1, the base model, and the router N(0, 0.02²).
 *
 * <p>PEFT does not know it. A file holds, for each module, {@code mov_l} [experts, out], or [experts, in] for one of
 * {@code feedforward_modules}, and {@code mov_router.weight} [experts, in].
 */
public final class Mov extends PeftAdapter<PeftMovConfig> {
    private static final double ROUTER_DEVIATION = 0.02;

    private Router router;

    private Mov(PeftMovConfig config, Origin origin) {
        super(config, origin);
    }

    /** Fresh vectors, to be trained. */
    public static Mov create(PeftMovConfig config, long seed) {
        return new Mov(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Mov load(Path directory) {
        return new Mov(PeftMovConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Mov frozen(Path directory) {
        return new Mov(PeftMovConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    public boolean mergeable() {
        return false;
    }

    @Override
    void attachFront(Adaptable model) {
        router = Router.softmax(
                model.scope(),
                model.dtype(),
                config.router().topK(),
                config.router().balance());
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        boolean inputs = config.feedForward(projection.module());
        long in = projection.weight().k();
        long width = inputs ? in : projection.weight().n();
        String key = PREFIX + projection.module() + ".mov_";
        int experts = config.router().experts();
        Tensor narrow = scope.tensor(Memory.ADAPTER, projection.dtype(), experts, in);
        Parameter rows = parameter(scope, key + "router.weight", narrow, normal(ROUTER_DEVIATION));
        Parameter scales = parameter(scope, key + "l", wide(scope, projection, experts, width), PeftAdapter::ones);
        return new MixedScales(scope, rows, scales, inputs, router, buffers());
    }

    /** The loss that keeps the vectors in equal use; its gradients are there already. */
    @Override
    public double regularise() {
        return router.takeLoss();
    }
}
