package io.graft.train;

import io.graft.nn.Parameter;
import io.graft.ops.Random;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;
import java.util.Map;

/**
 * MeZO (arXiv 2305.17333, algorithm 1): a step from two forward passes. All parameters are moved by ε z and by −ε z along one
 * random direction z, the difference of the losses over 2 ε is the slope along it, and the step is −rate · slope · z. z is
 * made anew from the step's seed each time, so that nothing is kept beside the parameters: no gradients, no activations for
 * backward, no moments.
 *
 * <p>Moving there and back rounds each parameter, by at most a few units of its last place per step.
 */
public final class Mezo implements Optimiser {
    /**
     * @param epsilon ε, how far parameters are moved
     * @param seed of the directions
     */
    public record Settings(double epsilon, long seed) implements OptimiserSettings {
        public Settings {
            if (!(epsilon > 0)) {
                throw new IllegalArgumentException("Mezo: epsilon is " + epsilon + ", must be positive");
            }
        }

        /** The paper's for whole models, 0.001. */
        public static Settings defaults() {
            return new Settings(1e-3, 0);
        }

        @Override
        public Optimiser create(Scope parent, List<Parameter> trained) {
            return new Mezo(trained, this);
        }
    }

    /** why so far apart: no model has as many parameters, so that no two steps share a direction's numbers. */
    private static final int NUMBERS_PER_STEP = 44;

    private final Settings settings;
    private final List<Parameter> parameters;
    private long step;
    private double slope;

    public Mezo(List<Parameter> trained, Settings settings) {
        this.settings = settings;
        this.parameters = List.copyOf(trained);
        for (Parameter parameter : parameters) {
            if (parameter.master() == null) {
                throw new IllegalArgumentException("Mezo: " + parameter + " is not trained");
            }
            if (parameter.master().dtype().bytes() == 2) {
                throw new IllegalArgumentException(
                        "Mezo: " + parameter + " has no master, and bf16 would lose its steps");
            }
        }
    }

    @Override
    public float step(Objective objective, double rate) {
        double epsilon = settings.epsilon();
        move(epsilon, false);
        float above = objective.loss();
        move(-2 * epsilon, false);
        float below = objective.loss();
        slope = ((double) above - below) / (2 * epsilon);
        move(epsilon, false);
        move(-rate * slope, true);
        step++;
        return 0.5f * (above + below);
    }

    /** Adds factor · z to all parameters; each parameter's own factor of the rate counts in the step only. */
    private void move(double factor, boolean rated) {
        long offset = step << NUMBERS_PER_STEP;
        for (int i = 0; i < parameters.size(); i++) {
            Parameter p = parameters.get(i);
            Tensor master = p.master();
            double own = rated ? factor * p.rateFactor() : factor;
            Random.addNormal(master.scope().context(), settings.seed(), offset, own, master);
            p.refreshValue();
            offset += master.elements();
        }
    }

    /** The slope along the last direction, without its sign. */
    @Override
    public double gradientNorm() {
        return Math.abs(slope);
    }

    @Override
    public long steps() {
        return step;
    }

    @Override
    public void restore(long steps) {
        step = steps;
    }

    @Override
    public List<Parameter> parameters() {
        return parameters;
    }

    @Override
    public Map<String, Tensor> state() {
        return Map.of();
    }

    @Override
    public List<Tensor> moments(Parameter parameter) {
        return List.of();
    }

    @Override
    public boolean usesGradients() {
        return false;
    }

    @Override
    public void close() {}
}
