package io.graft.cli.demo;

import java.util.List;

/**
 * What one training run of the demo gave.
 *
 * @param name the method, or the base model's name
 * @param trainedParameters how many numbers were trained
 * @param steps optimiser steps made
 * @param milliseconds median time of one step
 * @param tokensPerSecond at that time
 * @param peakBytes largest memory held by the native library in the run
 * @param before validation loss at the start, nats per token
 * @param after validation loss at the end
 * @param losses training loss of every step
 */
record DemoResult(
        String name,
        long trainedParameters,
        int steps,
        double milliseconds,
        double tokensPerSecond,
        long peakBytes,
        double before,
        double after,
        double[] losses) {

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
