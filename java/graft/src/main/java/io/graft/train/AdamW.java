package io.graft.train;

import io.graft.nn.GradientPool;
import io.graft.nn.Parameter;
import io.graft.ops.AdamWParameters;
import io.graft.ops.AdamWStep;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Mirror;
import io.graft.tensor.Repeated;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * AdamW over a fixed list of parameters, with clipping by their global norm: one call for the norm and one for the step,
 * however many they are. Those with projected gradients have calls of their own, and in backward each block has both. State
 * is fp32, as the masters are, and of their shapes, or of those of projected gradients; or it is kept in 8 bits. Parameters
 * without a master are rounded at random.
 */
public final class AdamW implements Optimiser {
    /**
     * @param weightDecay decoupled; applies to every trained parameter
     * @param maxNorm gradients are scaled down to this global norm; 0: never
     * @param galore how gradients of matrices are projected; null: not at all
     * @param eightBit whether the moments of parameters of 4096 elements and more are kept in 8 bits (arXiv 2110.02861);
     *     not together with galore
     * @param inBackward whether the parameters of a block are moved as soon as backward is through with it, and their
     *     gradients given up (LOMO, arXiv 2306.09782, section 3.1): with maxNorm 0, for the global norm is known too late, and
     *     not together with galore
     */
    public record Settings(
            double beta1,
            double beta2,
            double epsilon,
            double weightDecay,
            double maxNorm,
            Galore.Settings galore,
            boolean eightBit,
            boolean inBackward)
            implements OptimiserSettings {
        public Settings {
            if (galore != null && (eightBit || inBackward)) {
                throw new IllegalArgumentException("AdamW: with projected gradients moments are not kept in 8 bits, and"
                        + " nothing is moved in backward");
            }
            if (inBackward && maxNorm > 0) {
                throw new IllegalArgumentException("AdamW: gradients cannot be scaled to the norm " + maxNorm
                        + " when they are moved in backward, before all are known");
            }
        }

        public Settings(double beta1, double beta2, double epsilon, double weightDecay, double maxNorm) {
            this(beta1, beta2, epsilon, weightDecay, maxNorm, null, false, false);
        }

        public static Settings defaults() {
            return new Settings(0.9, 0.999, 1e-8, 0.01, 1.0);
        }

        public Settings withWeightDecay(double value) {
            return new Settings(beta1, beta2, epsilon, value, maxNorm, galore, eightBit, inBackward);
        }

        public Settings withMaxNorm(double value) {
            return new Settings(beta1, beta2, epsilon, weightDecay, value, galore, eightBit, inBackward);
        }

        public Settings withGalore(Galore.Settings value) {
            return new Settings(beta1, beta2, epsilon, weightDecay, maxNorm, value, eightBit, inBackward);
        }

        public Settings withEightBit(boolean value) {
            return new Settings(beta1, beta2, epsilon, weightDecay, maxNorm, galore, value, inBackward);
        }

        public Settings withInBackward(boolean value) {
            return new Settings(beta1, beta2, epsilon, weightDecay, maxNorm, galore, eightBit, value);
        }

        @Override
        public Optimiser create(Scope parent, List<Parameter> trained) {
            return new AdamW(parent, trained, this);
        }
    }

    private final Scope scope;
    private final Settings settings;
    private final Parameter[] parameters;
    private final Map<Parameter, Integer> numbers = new IdentityHashMap<>();
    private final Moments[] moments;
    private final Set<Parameter> moved = Collections.newSetFromMap(new IdentityHashMap<>());
    private final Galore galore;
    private final Mirror squaredNorm;
    private final AdamWParameters table;
    private final int[] tabled;
    private Repeated kept;
    private long step;
    private double norm;

    public AdamW(Scope parent, List<Parameter> trained, Settings settings) {
        this.scope = parent.scope();
        this.settings = settings;
        this.parameters = trained.toArray(new Parameter[0]);
        this.moments = new Moments[parameters.length];
        this.table = new AdamWParameters(parameters.length);
        this.tabled = new int[parameters.length];
        this.squaredNorm = new Mirror(scope.tensor(Memory.OPTIMIZER, DType.F64, 1));
        GradientPool pool = new GradientPool(scope);
        for (int i = 0; i < parameters.length; i++) {
            Tensor master = parameters[i].master();
            if (master == null) {
                throw new IllegalArgumentException("AdamW: " + parameters[i] + " has no gradient");
            }
            if (settings.galore() != null && master.dtype() == DType.BF16) {
                throw new IllegalArgumentException(
                        "AdamW: " + parameters[i] + " has no master, which projected gradients need");
            }
            if (settings.inBackward()) {
                parameters[i].takeGradientFrom(pool);
            } else {
                // why: a gradient is made when it is first asked for; memory should be known before the first step.
                parameters[i].gradient();
            }
        }
        galore = settings.galore() == null ? null : new Galore(scope, settings, parameters);
        for (int i = 0; i < parameters.length; i++) {
            Tensor master = parameters[i].master();
            moments[i] = settings.eightBit()
                    ? Moments.narrow(scope, parameters[i])
                    : Moments.wide(scope, master.dtype(), galore == null ? master.shape() : galore.stateShape(i));
            numbers.put(parameters[i], i);
        }
    }

    @Override
    public float step(Objective objective, double rate) {
        if (!settings.inBackward()) {
            float loss = objective.lossAndGradients();
            norm = step(rate);
            return loss;
        }
        step++;
        TensorOps.fill(scope.context(), 0, squaredNorm.tensor());
        moved.clear();
        float loss = objective.lossAndGradients(some -> {
            table.clear();
            for (int i = 0; i < some.size(); i++) { // why no iterator: a step allocates nothing
                addOnce(numbers.get(some.get(i)), rate);
            }
            moveAndDrop();
        });
        table.clear();
        for (int i = 0; i < parameters.length; i++) {
            addOnce(numbers.get(parameters[i]), rate);
        }
        moveAndDrop();
        norm = Math.sqrt(squaredNorm.value());
        return loss;
    }

    /** Adds one of its parameters to the table, once in a step. */
    private void addOnce(Integer number, double rate) {
        if (number != null && moved.add(parameters[number])) {
            add(number, rate, step);
        }
    }

    /** Moves the table's parameters, which give up their gradients. */
    private void moveAndDrop() {
        AdamWStep.squaredNorms(scope.context(), table, squaredNorm.tensor());
        move(step, null);
        markColumns();
        for (int i = 0; i < table.size(); i++) {
            parameters[tabled[i]].dropGradient();
        }
    }

    private void add(int number, double rate, long of) {
        Parameter p = parameters[number];
        Moments own = moments[number];
        // why: these two bits are set in no other seed, and what is below them is different in each call.
        long seed = 3L << 62 | of << 24 | number;
        tabled[table.size()] = number;
        table.add(
                p.gradient(),
                rate * p.rateFactor(),
                settings.weightDecay(),
                seed,
                p.master(),
                own.m(),
                own.mScale(),
                own.v(),
                own.vScale(),
                p.computeCopy(),
                p.columns());
    }

    /** Moves the table's parameters, in step {@code of}. */
    private void move(long of, Tensor norm) {
        AdamWStep.steps(
                scope.context(),
                table,
                settings.beta1(),
                settings.beta2(),
                settings.epsilon(),
                of,
                settings.maxNorm(),
                norm);
    }

    /** Tells the parameters that their columns were written with them. */
    private void markColumns() {
        for (int i = 0; i < table.size(); i++) {
            parameters[tabled[i]].movedIntoColumns();
        }
    }

    @Override
    public double gradientNorm() {
        return norm;
    }

    /** The table of all parameters, or of those whose gradients are not projected. */
    private void addAll(double rate, long of, boolean projected) {
        table.clear();
        for (int i = 0; i < parameters.length; i++) {
            if (projected || !galore.projects(i)) {
                add(i, rate, of);
            }
        }
    }

    /** Moves all parameters by their gradients, which stay as they are. Returns the norm before clipping. */
    public double step(double rate) {
        step++;
        if (kept == null) {
            moveAll(rate, step);
        } else {
            kept.run(rate, step, 0);
        }
        markColumns();
        return Math.sqrt(squaredNorm.value());
    }

    private void moveAll(double rate, long of) {
        TensorOps.fill(scope.context(), 0, squaredNorm.tensor());
        addAll(rate, of, true);
        AdamWStep.squaredNorms(scope.context(), table, squaredNorm.tensor());
        if (galore != null) {
            addAll(rate, of, false);
        }
        move(of, squaredNorm.tensor());
        for (int i = 0; galore != null && i < parameters.length; i++) {
            if (galore.projects(i)) {
                double own = rate * parameters[i].rateFactor();
                galore.step(i, own, of, squaredNorm.tensor(), moments[i].m(), moments[i].v());
            }
        }
    }

    /** Not where gradients are projected, whose directions are found on the host, or moved in backward. */
    @Override
    public boolean keepSteps() {
        if (galore != null || settings.inBackward()) {
            return false;
        }
        kept = new Repeated(scope, (rate, of, offset) -> moveAll(rate, of));
        return true;
    }

    @Override
    public String unkeptSteps() {
        return kept == null ? null : kept.refusal();
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
        Integer number = numbers.get(parameter);
        if (number == null) {
            throw new IllegalArgumentException("AdamW: " + parameter + " is none of its parameters");
        }
        Moments of = moments[number];
        if (of.coded()) {
            throw new UnsupportedOperationException("AdamW: the moments of " + parameter.name()
                    + " are kept in 8 bits, which a method that changes them while it trains cannot use");
        }
        return galore == null ? List.of(of.m(), of.v()) : List.of();
    }

    @Override
    public boolean movesInBackward() {
        return settings.inBackward();
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
