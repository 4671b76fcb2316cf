package io.graft.train;

import io.graft.nn.Parameter;
import io.graft.ops.AdamWStep;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * AdamW over a fixed list of parameters, with clipping by their global norm. State is fp32, as the masters are, and of their
 * shapes, or of those of projected gradients.
 */
public final class AdamW implements AutoCloseable {
    /**
     * @param weightDecay decoupled; applies to every trained parameter
     * @param maxNorm gradients are scaled down to this global norm; 0: never
     * @param galore how gradients of matrices are projected; null: not at all
     */
    public record Settings(
            double beta1, double beta2, double epsilon, double weightDecay, double maxNorm, Galore.Settings galore) {
        public Settings(double beta1, double beta2, double epsilon, double weightDecay, double maxNorm) {
            this(beta1, beta2, epsilon, weightDecay, maxNorm, null);
        }

        public static Settings defaults() {
            return new Settings(0.9, 0.999, 1e-8, 0.01, 1.0);
        }

        public Settings withWeightDecay(double value) {
            return new Settings(beta1, beta2, epsilon, value, maxNorm, galore);
        }

        public Settings withMaxNorm(double value) {
            return new Settings(beta1, beta2, epsilon, weightDecay, value, galore);
        }

        public Settings withGalore(Galore.Settings value) {
            return new Settings(beta1, beta2, epsilon, weightDecay, maxNorm, value);
        }
    }

    private final Scope scope;
    private final Settings settings;
    private final Parameter[] parameters;
    private final Map<Parameter, List<Tensor>> moments = new IdentityHashMap<>();
    private final Tensor[] m;
    private final Tensor[] v;
    private final Galore galore;
    private final Tensor squaredNorm;
    private final ByteBuffer squaredNormMemory;
    private long step;

    public AdamW(Scope parent, List<Parameter> trained, Settings settings) {
        this.scope = parent.scope();
        this.settings = settings;
        this.parameters = trained.toArray(new Parameter[0]);
        this.m = new Tensor[parameters.length];
        this.v = new Tensor[parameters.length];
        this.squaredNorm = scope.tensor(Memory.OPTIMIZER, DType.F64, 1);
        this.squaredNormMemory = squaredNorm.buffer();
        for (int i = 0; i < parameters.length; i++) {
            Tensor master = parameters[i].master();
            if (master == null) {
                throw new IllegalArgumentException("AdamW: " + parameters[i] + " has no gradient");
            }
        }
        galore = settings.galore() == null ? null : new Galore(scope, settings, parameters);
        for (int i = 0; i < parameters.length; i++) {
            Tensor master = parameters[i].master();
            long[] shape = galore == null ? master.shape() : galore.stateShape(i);
            m[i] = scope.tensor(Memory.OPTIMIZER, master.dtype(), shape);
            v[i] = scope.tensor(Memory.OPTIMIZER, master.dtype(), shape);
            if (galore == null) {
                moments.put(parameters[i], List.of(m[i], v[i]));
            }
        }
    }

    /** Moves all parameters by their gradients, which stay as they are. Returns the norm before clipping. */
    public double step(double rate) {
        step++;
        TensorOps.fill(scope.context(), 0, squaredNorm);
        for (Parameter parameter : parameters) {
            AdamWStep.squaredNorm(scope.context(), parameter.gradient(), squaredNorm);
        }
        for (int i = 0; i < parameters.length; i++) {
            Parameter p = parameters[i];
            if (galore != null && galore.projects(i)) {
                galore.step(i, rate * p.rateFactor(), step, squaredNorm, m[i], v[i]);
                continue;
            }
            AdamWStep.step(
                    scope.context(),
                    p.gradient(),
                    rate * p.rateFactor(),
                    settings.beta1(),
                    settings.beta2(),
                    settings.epsilon(),
                    settings.weightDecay(),
                    step,
                    settings.maxNorm(),
                    squaredNorm,
                    p.master(),
                    m[i],
                    v[i],
                    p.computeCopy());
        }
        return Math.sqrt(squaredNormMemory.getDouble(0));
    }

    /** Steps made so far. */
    public long steps() {
        return step;
    }

    /** The running means of a trained parameter's gradient and of its square. */
    public List<Tensor> moments(Parameter parameter) {
        List<Tensor> known = moments.get(parameter);
        if (known == null) {
            throw new IllegalArgumentException("AdamW: " + parameter
                    + (galore == null ? " is none of its parameters" : " has the moments of its projection (GaLore)"));
        }
        return known;
    }

    void restore(long steps) {
        step = steps;
    }

    int size() {
        return parameters.length;
    }

    Parameter parameter(int index) {
        return parameters[index];
    }

    /** Running mean of the gradient. */
    Tensor m(int index) {
        return m[index];
    }

    /** Running mean of the squared gradient. */
    Tensor v(int index) {
        return v[index];
    }

    /** The directions that a parameter's gradient is projected on; null where it is not. */
    Tensor directions(int index) {
        return galore == null ? null : galore.directions(index);
    }

    @Override
    public void close() {
        scope.close();
    }
}
