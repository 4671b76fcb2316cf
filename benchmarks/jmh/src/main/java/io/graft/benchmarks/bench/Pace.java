package io.graft.benchmarks.bench;

import io.graft.benchmarks.measure.Forecast;

/**
 * How long the rest of a run takes: what was foreseen, corrected by how long that took which is done. How long contenders take to
 * be made is not foreseen, so that nothing is said of a benchmark before its rounds.
 */
final class Pace {
    private double foreseen;
    private double taken;
    private Forecast.Duration now = new Forecast.Duration(0, 0);
    private long start;
    private double made;

    /** A benchmark begins, of which so much is foreseen. */
    void begin(Forecast.Duration duration) {
        now = duration;
        start = System.nanoTime();
        made = 0;
    }

    void end() {
        foreseen += now.seconds();
        taken += elapsed();
        now = new Forecast.Duration(0, 0);
    }

    private double elapsed() {
        return (System.nanoTime() - start) * 1e-9;
    }

    /**
     * Seconds until the end of the run; NaN while the contenders of a benchmark are made.
     *
     * @param calls of the present benchmark's rounds that are done
     * @param after seconds that are foreseen for the benchmarks behind it
     */
    double left(double calls, double after) {
        if (now.seconds() == 0) {
            return foreseen > 0 ? taken / foreseen * after : after;
        }
        return left(elapsed(), calls, after);
    }

    /** @param elapsed seconds since the present benchmark began */
    double left(double elapsed, double calls, double after) {
        if (calls == 0) {
            made = elapsed;
            return Double.NaN;
        }
        double share = now.calls() > 0 ? Math.min(1, calls / now.calls()) : 1;
        double rest = (elapsed - made) * (1 / share - 1);
        return rest + (taken + elapsed + rest) / (foreseen + now.seconds()) * after;
    }
}
