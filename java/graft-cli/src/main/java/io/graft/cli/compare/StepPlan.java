package io.graft.cli.compare;

import io.graft.train.Schedule;

/**
 * A schedule whose length is decided while it runs: the rate rises for {@link #WARMUP} steps, in which the time of a
 * step is measured; then the number of steps is set, and the rate falls along half a cosine until the last of them.
 */
final class StepPlan implements Schedule {
    static final int WARMUP = 20;
    private static final double FLOOR = 0.05;

    private final double peak;
    private long steps = Long.MAX_VALUE;

    StepPlan(double peak) {
        this.peak = peak;
    }

    void steps(long total) {
        steps = total;
    }

    long steps() {
        return steps;
    }

    @Override
    public double rate(long step) {
        long rising = Math.min(WARMUP, steps / 4);
        if (step < rising) {
            return peak * (step + 1) / (rising + 1);
        }
        double way = Math.min(1, (double) (step - rising) / Math.max(1, steps - rising));
        return peak * (FLOOR + (1 - FLOOR) * 0.5 * (1 + Math.cos(Math.PI * way)));
    }
}
