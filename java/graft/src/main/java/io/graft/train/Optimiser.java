package io.graft.train;

import io.graft.nn.Parameter;
import io.graft.tensor.Tensor;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** Moves trained parameters, one step at a time, by what it asks of the loss. */
public interface Optimiser extends AutoCloseable {
    /** The loss of one step's batches, of the parameters as they are when it is asked. */
    interface Objective {
        /** Without gradients and without dropout. */
        float loss();

        /** With the gradients of all parameters, and the adapter's own part of the loss. */
        float lossAndGradients();

        /** The same for a single batch; shows parameters on the way, as soon as backward reads and adds to them no more. */
        float lossAndGradients(Consumer<List<Parameter>> finished);
    }

    /** One step; returns the loss before it. Gradients that were made stay as they are. */
    float step(Objective objective, double rate);

    /** The global norm of the last step's gradient before clipping, or what the optimiser knows of it. */
    double gradientNorm();

    /** Steps made so far. */
    long steps();

    /** Continues behind so many steps, after {@link #state} was read. */
    void restore(long steps);

    /** What is moved, in a fixed order. */
    List<Parameter> parameters();

    /** What is carried from step to step, by name: part of a training checkpoint, beside the parameters themselves. */
    Map<String, Tensor> state();

    /** What is carried for one parameter, each of its shape; empty where that is nothing. */
    List<Tensor> moments(Parameter parameter);

    /** Whether {@link #moments} can be changed from outside. */
    default boolean givesMoments() {
        return true;
    }

    /** Whether {@link Objective#lossAndGradients} is ever asked. */
    default boolean usesGradients() {
        return true;
    }

    /** Whether parameters are moved, and their gradients given up, while backward still runs: for single batches. */
    default boolean movesInBackward() {
        return false;
    }

    /** Makes the work of a step behind its gradients a graph of the CUDA device; false where steps are not all the same. */
    default boolean keepSteps() {
        return false;
    }

    /** Why steps are called op by op though they are to be kept; null where they are a graph, or may become one. */
    default String unkeptSteps() {
        return null;
    }

    @Override
    void close();
}
