package io.graft.train;

/** The learning rate of each optimiser step, steps counted from 0. */
@FunctionalInterface
public interface Schedule {
    double rate(long step);

    static Schedule constant(double rate) {
        return step -> rate;
    }

    /** From rate down to 0 in a straight line. */
    static Schedule linear(double rate, long steps) {
        return step -> rate * Math.max(0, 1 - (double) step / steps);
    }

    /** From rate down to 0 along half a cosine. */
    static Schedule cosine(double rate, long steps) {
        return step -> rate * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, (double) step / steps)));
    }

    /** Rises in a straight line for {@code steps} steps to this schedule's rate, then starts this schedule. */
    default Schedule withWarmup(long steps) {
        return step -> step < steps ? rate(0) * (step + 1) / (steps + 1) : rate(step - steps);
    }
}
