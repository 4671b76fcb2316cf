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
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * AdamW over a fixed list of parameters, with clipping by their global norm. State is fp32, as the masters are, and of their
 * shapes, or of those of projected gradients; or it is kept in 8 bits.
 */
public final class AdamW implements Optimiser {
    /**
     * @param weightDecay decoupled; applies to every trained parameter
     * @param maxNorm gradients are scaled down to this global norm; 0: never
     * @param galore how gradients of matrices are projected; null: not at all
     * @param eightBit whether the moments of parameters of 4096 elements and more are kept in 8 bits (arXiv 2110.02861);
     *     not together with galore
     */
    public record Settings(
            double beta1,
            double beta2,
            double epsilon,
            double weightDecay,
            double maxNorm,
            Galore.Settings galore,
            boolean eightBit)
            implements OptimiserSettings {
        public Settings {
            if (galore != null && eightBit) {
                throw new IllegalArgumentException("AdamW: moments of projected gradients are not kept in 8 bits");
            }
        }

        public Settings(double beta1, double beta2, double epsilon, double weightDecay, double maxNorm) {
            this(beta1, beta2, epsilon, weightDecay, maxNorm, null, false);
        }

        public static Settings defaults() {
            return new Settings(0.9, 0.999, 1e-8, 0.01, 1.0);
        }

        public Settings withWeightDecay(double value) {
            return new Settings(beta1, beta2, epsilon, value, maxNorm, galore, eightBit);
        }

        public Settings withMaxNorm(double value) {
            return new Settings(beta1, beta2, epsilon, weightDecay, value, galore, eightBit);
        }

        public Settings withGalore(Galore.Settings value) {
            return new Settings(beta1, beta2, epsilon, weightDecay, maxNorm, value, eightBit);
        }

        public Settings withEightBit(boolean value) {
            return new Settings(beta1, beta2, epsilon, weightDecay, maxNorm, galore, value);
        }

        @Override
        public Optimiser create(Scope parent, List<Parameter> trained) {
            return new AdamW(parent, trained, this);
        }
    }

    private final Scope scope;
    private final Settings settings;
    private final Parameter[] parameters;
    private final Map<Parameter, Moments> known = new IdentityHashMap<>();
    private final Moments[] moments;
    private final Galore galore;
    private final Tensor squaredNorm;
    private final ByteBuffer squaredNormMemory;
    private long step;
    private double norm;

    public AdamW(Scope parent, List<Parameter> trained, Settings settings) {
        this.scope = parent.scope();
        this.settings = settings;
        this.parameters = trained.toArray(new Parameter[0]);
        this.moments = new Moments[parameters.length];
        this.squaredNorm = scope.tensor(Memory.OPTIMIZER, DType.F64, 1);
        this.squaredNormMemory = squaredNorm.buffer();
        for (int i = 0; i < parameters.length; i++) {
            Tensor master = parameters[i].master();
            if (master == null) {
                throw new IllegalArgumentException("AdamW: " + parameters[i] + " has no gradient");
            }
            // why: a gradient is made when it is first asked for; memory should be known before the first step.
            parameters[i].gradient();
        }
        galore = settings.galore() == null ? null : new Galore(scope, settings, parameters);
        for (int i = 0; i < parameters.length; i++) {
            Tensor master = parameters[i].master();
            moments[i] = settings.eightBit()
                    ? Moments.narrow(scope, parameters[i])
                    : Moments.wide(scope, master.dtype(), galore == null ? master.shape() : galore.stateShape(i));
            known.put(parameters[i], moments[i]);
        }
    }

    @Override
    public float step(Objective objective, double rate) {
        float loss = objective.lossAndGradients();
        norm = step(rate);
        return loss;
    }

    @Override
    public double gradientNorm() {
        return norm;
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
                galore.step(i, rate * p.rateFactor(), step, squaredNorm, moments[i].m(), moments[i].v());
                continue;
            }
            moments[i].step(scope.context(), p, rate * p.rateFactor(), settings, step, squaredNorm);
        }
        return Math.sqrt(squaredNormMemory.getDouble(0));
    }

    @Override
    public long steps() {
        return step;
    }

    /**
     * The running means of a trained parameter's gradient and of its square; nothing where gradients are projected.
     *
     * @throws UnsupportedOperationException where they are kept in 8 bits
     */
    @Override
    public List<Tensor> moments(Parameter parameter) {
        Moments of = known.get(parameter);
        if (of == null) {
            throw new IllegalArgumentException("AdamW: " + parameter + " is none of its parameters");
        }
        if (of.coded()) {
            throw new UnsupportedOperationException("AdamW: the moments of " + parameter.name()
                    + " are kept in 8 bits, which a method that changes them while it trains cannot use");
        }
        return galore == null ? List.of(of.m(), of.v()) : List.of();
    }

    @Override
    public boolean givesMoments() {
        return !settings.eightBit();
    }

    @Override
    public void restore(long steps) {
        step = steps;
    }

    @Override
    public List<Parameter> parameters() {
        return List.of(parameters);
    }

    /** m and v of each parameter, and the directions of those whose gradients are projected. */
    @Override
    public Map<String, Tensor> state() {
        Map<String, Tensor> state = new LinkedHashMap<>();
        for (int i = 0; i < parameters.length; i++) {
            String name = parameters[i].name();
            moments[i].putInto(state, name);
            if (directions(i) != null) {
                state.put("directions/" + name, directions(i));
            }
        }
        return state;
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
