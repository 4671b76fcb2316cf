package io.graft.cli.compare;

import java.util.List;

/**
 * What one training run gave.
 *
 * @param name the method, or another title
 * @param trainedParameters how many numbers were trained
 * @param steps optimiser steps made
 * @param milliseconds median time of one step
 * @param tokensPerSecond at that time
 * @param bytes memory held by the native library
 * @param before validation loss at the start, nats per token
 * @param after validation loss at the end
 * @param losses training loss of every step
 */
public record Result(
        String name,
        long trainedParameters,
        int steps,
        double milliseconds,
        double tokensPerSecond,
        Bytes bytes,
        double before,
        double after,
        double[] losses) {

    /**
     * The most bytes held at once.
     *
     * @param base frozen weights
     * @param training what is trained, its gradients and the optimiser's state
     * @param activations what forward keeps, inputs and outputs
     * @param peak all together, scratch included
     */
    public record Bytes(long base, long training, long activations, long peak) {}

    static double median(List<Double> values) {
        double[] sorted =
                values.stream().mapToDouble(Double::doubleValue).sorted().toArray();
        if (sorted.length == 0) {
            return Double.NaN;
        }
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
