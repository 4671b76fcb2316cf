package io.graft.train;

import io.graft.adapter.Factors;
import io.graft.nn.Parameter;
import io.graft.ops.AdamWStep;
import io.graft.ops.Linear;
import io.graft.ops.RowScale;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Mirror;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * GaLore (arXiv 2403.03507, algorithm 2): the gradient of a matrix is projected on its r strongest directions along the
 * shorter side, AdamW's moments live there, and the step is projected back. The directions are taken anew every so many
 * steps; the moments stay. Vectors, and matrices with a side of at most r, are AdamW's as ever.
 */
public final class Galore {
    /**
     * @param rank r
     * @param every steps from one choice of directions to the next
     * @param scale what the projected step is multiplied by, α
     * @param seed of the search for directions
     */
    public record Settings(int rank, int every, double scale, long seed) {
        public Settings {
            if (rank < 1 || every < 1 || !(scale > 0)) {
                throw new IllegalArgumentException(
                        "Galore: rank " + rank + ", every " + every + " steps, scale " + scale + " must be positive");
            }
        }

        /** The paper's: 200 steps, a quarter. */
        public static Settings of(int rank) {
            return new Settings(rank, 200, 0.25, 0);
        }
    }

    /**
     * A parameter whose gradient is projected.
     *
     * @param directions [r, shorter side], orthonormal rows
     * @param left whether rows are the shorter side: R = P G, else R = G Pᵀ
     * @param projected R, shared by parameters of one shape
     * @param update Adam's step of R, shared too
     */
    private record Part(
            Tensor directions,
            boolean left,
            Tensor projected,
            Tensor update,
            Weight gradient,
            Weight basis,
            Tensor decay) {}

    private final Scope scope;
    private final AdamW.Settings settings;
    private final Parameter[] parameters;
    private final Part[] parts;
    private final Mirror squaredNorm;

    Galore(Scope scope, AdamW.Settings settings, Parameter[] parameters) {
        this.scope = scope;
        this.settings = settings;
        this.parameters = parameters;
        parts = new Part[parameters.length];
        squaredNorm = new Mirror(scope.tensor(Memory.OPTIMIZER, DType.F64, 1));
        Map<List<Long>, Tensor[]> shared = new HashMap<>();
        for (int i = 0; i < parts.length; i++) {
            Tensor p = parameters[i].master();
            if (p.rank() != 2 || Math.min(p.size(0), p.size(1)) <= rank()) {
                continue;
            }
            boolean left = p.size(0) <= p.size(1);
            Tensor directions = tensor(p, rank(), left ? p.size(0) : p.size(1));
            Tensor[] buffers = shared.computeIfAbsent(List.of(p.size(0), p.size(1)), shape ->
                    new Tensor[] {tensor(p, projectedShape(p)), tensor(p, projectedShape(p)), tensor(p, p.size(0))});
            parts[i] = new Part(
                    directions,
                    left,
                    buffers[0],
                    buffers[1],
                    scope.weight(parameters[i].gradient()),
                    scope.weight(directions),
                    buffers[2]);
        }
    }

    private int rank() {
        return settings.galore().rank();
    }

    private Tensor tensor(Tensor like, long... shape) {
        return scope.tensor(Memory.OPTIMIZER, like.dtype(), shape);
    }

    private long[] projectedShape(Tensor p) {
        return p.size(0) <= p.size(1) ? new long[] {rank(), p.size(1)} : new long[] {p.size(0), rank()};
    }

    boolean projects(int index) {
        return parts[index] != null;
    }

    /** The shape of a parameter's moments. */
    long[] stateShape(int index) {
        Tensor p = parameters[index].master();
        return projects(index) ? projectedShape(p) : p.shape();
    }

    Tensor directions(int index) {
        return projects(index) ? parts[index].directions : null;
    }

    /** One step of a parameter whose gradient is projected; step counts from 1. */
    void step(int index, double rate, long step, Tensor globalNorm, Tensor m, Tensor v) {
        Part part = parts[index];
        Parameter parameter = parameters[index];
        Tensor p = parameter.master();
        if ((step - 1) % settings.galore().every() == 0) {
            choose(index, part, parameter.gradient(), step);
        }
        if (part.left) {
            Linear.backward(scope.context(), part.directions, null, part.gradient, false, part.projected, null, null);
        } else {
            Linear.forward(scope.context(), parameter.gradient(), part.basis, null, false, part.projected);
        }
        TensorOps.fill(scope.context(), 0, part.update);
        AdamWStep.step(
                scope.context(),
                part.projected,
                rate * settings.galore().scale(),
                settings.beta1(),
                settings.beta2(),
                settings.epsilon(),
                0,
                step,
                settings.maxNorm(),
                globalNorm,
                0,
                part.update,
                m,
                v,
                null);
        if (settings.weightDecay() != 0) {
            TensorOps.fill(scope.context(), 1 - rate * settings.weightDecay(), part.decay);
            RowScale.forward(scope.context(), p, part.decay, p);
        }
        if (part.left) {
            // p += Pᵀ · update, as the gradient of a weight.
            Linear.backward(scope.context(), part.directions, part.update, part.gradient, false, null, p, null);
        } else {
            Linear.backward(scope.context(), part.update, null, part.basis, true, p, null, null);
        }
        if (parameter.computeCopy() != null) {
            TensorOps.copy(scope.context(), p, parameter.computeCopy());
        }
    }

    /** why not at zero: a matrix of zeros has no directions; the old ones, at first the unit vectors, serve. */
    private void choose(int index, Part part, Tensor gradient, long step) {
        TensorOps.fill(scope.context(), 0, squaredNorm.tensor());
        AdamWStep.squaredNorm(scope.context(), gradient, squaredNorm.tensor());
        double square = squaredNorm.value();
        if (square > 0 && !Double.isInfinite(square)) {
            Factors.directions(gradient, part.left, settings.galore().seed() + index, part.directions);
        } else if (step == 1) {
            double[] unit = new double[(int) part.directions.elements()];
            for (int i = 0; i < rank(); i++) {
                unit[(int) (i * part.directions.size(1)) + i] = 1;
            }
            part.directions.set(unit);
        }
    }
}
