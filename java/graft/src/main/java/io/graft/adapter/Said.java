package io.graft.adapter;

import io.graft.io.PeftSaidConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.IntrinsicWeight;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Fine-tuning in an intrinsic dimension, structure-aware (SAID, arXiv 2012.13255, section 3): {@code W = W₀ + λ c P θ} of
 * every targeted layer, with one vector θ for all, a scale λ for each and a random map P that its seed says. θ starts at
 * zero and λ at one, so that step 0 is the base model bit by bit. The base's weights are kept beside the trained ones.
 *
 * <p>Files: {@code base_model.said_theta} [d] and {@code base_model.said_lambda} [layers].
 */
public final class Said extends PeftAdapter<PeftSaidConfig> {
    private static final String THETA = "base_model.said_theta";
    private static final String LAMBDA = "base_model.said_lambda";

    private final Map<List<Long>, Tensor> work = new HashMap<>();
    private Parameter theta;
    private Parameter lambda;
    private double factor;
    private int made;

    private Said(PeftSaidConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh vector, to be trained. */
    public static Said create(PeftSaidConfig config) {
        return new Said(config, Origin.fresh(0));
    }

    /** An adapter from a directory, to be trained further. */
    public static Said load(Path directory) {
        return new Said(PeftSaidConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Said frozen(Path directory) {
        return new Said(PeftSaidConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    public String key(Parameter parameter) {
        return parameter.name();
    }

    @Override
    void attachFront(Adaptable model) {
        List<Projection> targets = model.projections().stream()
                .filter(projection -> config.targets(projection.module()))
                .toList();
        if (targets.isEmpty()) {
            return;
        }
        DType wide = Precision.accumulator(model.dtype());
        Tensor vector = model.scope().tensor(Memory.ADAPTER, wide, config.dimension());
        Tensor scales = model.scope().tensor(Memory.ADAPTER, wide, targets.size());
        if (fromFile()) {
            read(THETA, vector);
            read(LAMBDA, scales);
        } else {
            TensorOps.fill(model.scope().context(), 1, scales);
        }
        theta = train(model.scope(), new Parameter(THETA, vector));
        lambda = train(model.scope(), new Parameter(LAMBDA, scales));
        long entries = targets.stream()
                .map(Projection::weight)
                .mapToLong(weight -> weight.n() * weight.k())
                .sum();
        factor = Math.sqrt((double) config.dimension() / entries);
    }

    /** why: one vector serves all modules, and the place of a module among them says which of its maps is whose. */
    @Override
    public boolean separable() {
        return false;
    }

    @Override
    boolean servesCodes(String module) {
        return false;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        Weight weight = projection.weight();
        Tensor original = scope.tensor(Memory.BASE, weight.dtype(), weight.n(), weight.k());
        TensorOps.copy(scope.context(), weight.matrix(), original);
        Tensor shared = work.computeIfAbsent(
                List.of(weight.n(), weight.k()),
                shape -> scope.tensor(
                        Memory.WORKSPACE, Precision.accumulator(projection.dtype()), weight.n(), weight.k()));
        long seed = config.seed() ^ Lora.mix(projection.module().hashCode());
        return new IntrinsicWeight(theta, lambda, made++, factor, original, shared, seed);
    }
}
