package io.graft.benchmarks.bench;

import io.graft.benchmarks.measure.Forecast;

/** How long the rest of a run takes: what was foreseen, corrected by how long that took which is done. */
final class Pace {
    private double foreseen;
    private double taken;
    private Forecast.Duration now = new Forecast.Duration(0, 0);
    private long start;

    /** A benchmark begins, of which so much is foreseen. */
    void begin(Forecast.Duration duration) {
        now = duration;
        start = System.nanoTime();
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
     * Seconds until the end of the run.
     *
     * @param calls of the present benchmark that are done
     * @param after seconds that are foreseen for the benchmarks behind it
     */
    double left(double calls, double after) {
        if (now.seconds() == 0) {
            return foreseen > 0 ? taken / foreseen * after : after;
        }
        double elapsed = elapsed();
        double share = now.calls() > 0 ? Math.min(1, calls / now.calls()) : 0;
        double whole = share > 0 ? elapsed / share : Math.max(now.seconds(), elapsed);
        return whole - elapsed + (taken + whole) / (foreseen + now.seconds()) * after;
    }
}
