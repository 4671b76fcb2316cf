package io.graft.benchmarks.measure;

import io.graft.tensor.DType;
import java.util.List;
import java.util.Locale;

/**
 * What a trial will take, by a run of its contenders that computes nothing and counts. All contenders have their tensors at
 * the same time.
 *
 * @param dtype they compute in
 * @param costs of a call of each
 * @param bytes the most that they hold at once
 * @param resting how many of them leave threads behind that the next one waits for
 */
public record Forecast(DType dtype, List<Cost> costs, long bytes, int resting) {
    /** Least arithmetic and traffic of a call. */
    public record Cost(double flops, double bytes) {}

    /** How the rounds of a trial are meant: warm-up, measured ones, and the seconds after which they end. */
    public record Rounds(int warmup, int measured, double budgetSeconds) {}

    /** why: a process starts and makes the inputs of all contenders. */
    public static final double START_SECONDS = 2;

    private static final int FIRST_CALLS = 2;

    static Forecast of(Trial trial, DType dtype, int resting) {
        long held = 0;
        long most = 0;
        List<Contender> present = trial.contenders().stream()
                .filter(contender -> contender.status() == Contender.Status.TIMED)
                .toList();
        for (Contender contender : present) {
            most = Math.max(most, held + Math.max(contender.making(), contender.peak()));
            held += contender.retained();
        }
        return new Forecast(
                dtype,
                present.stream()
                        .map(contender -> new Cost(contender.flops(), contender.bytes()))
                        .toList(),
                most,
                resting);
    }

    /** Seconds at the speed that the machine reaches at most; what a contender does besides is not known. */
    public double seconds(Roofline roof, Rounds rounds) {
        double rate = roof.gigaflops().getOrDefault(dtype.name().toLowerCase(Locale.ROOT), Double.NaN) * 1e9;
        double first = 0;
        double round = 0;
        for (Cost cost : costs) {
            double call = Math.max(orZero(cost.flops() / rate), orZero(cost.bytes() / (roof.gigabytes() * 1e9)));
            first += FIRST_CALLS * call;
            round += Contender.sampleSeconds(call);
        }
        double least = (rounds.warmup() + Trial.FEWEST_ROUNDS) * round;
        double all = (rounds.warmup() + rounds.measured()) * round;
        double measuring = Math.min(all, Math.max(least, rounds.budgetSeconds()));
        double rests = round > 0 ? measuring / round * resting * Trial.REST_SECONDS : 0;
        return START_SECONDS + first + measuring + rests;
    }

    private static double orZero(double value) {
        return Double.isFinite(value) ? value : 0;
    }
}
