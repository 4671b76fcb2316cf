package io.graft.benchmarks.measure;

import io.graft.tensor.DType;
import java.util.List;
import java.util.Locale;
import java.util.function.Predicate;

/**
 * What a trial will take, by a run of its contenders that computes nothing and counts. All contenders have their tensors at
 * the same time.
 *
 * @param dtype they compute in
 * @param needs of each
 */
public record Forecast(DType dtype, List<Need> needs) {
    /**
     * What a contender takes.
     *
     * @param flops of a call, at least
     * @param traffic bytes that a call moves, at least
     * @param making the most bytes that it holds while it is made
     * @param calling the most bytes that it holds during a call
     * @param kept bytes that it holds between its calls
     * @param unquiet whether it leaves threads behind that the next one waits for
     */
    public record Need(
            String contender, double flops, double traffic, long making, long calling, long kept, boolean unquiet) {}

    /** How the rounds of a trial are meant: warm-up, measured ones, and the seconds after which they end. */
    public record Rounds(int warmup, int measured, double budgetSeconds) {}

    /** why: a process starts and makes the inputs of all contenders. */
    public static final double START_SECONDS = 2;

    private static final int FIRST_CALLS = 2;

    static Forecast of(List<Contender> contenders, DType dtype, Predicate<Contender> unquiet) {
        return new Forecast(
                dtype,
                contenders.stream()
                        .filter(contender -> contender.status() == Contender.Status.TIMED)
                        .map(contender -> new Need(
                                contender.name(),
                                contender.flops(),
                                contender.bytes(),
                                contender.making(),
                                contender.peak(),
                                contender.retained(),
                                unquiet.test(contender)))
                        .toList());
    }

    /** The part of it without the contenders that are not wanted. */
    public Forecast of(Predicate<String> wanted) {
        return new Forecast(
                dtype,
                needs.stream().filter(need -> wanted.test(need.contender())).toList());
    }

    /** The most bytes that the contenders hold at once, as one is made after the other. */
    public long bytes() {
        long held = 0;
        long most = 0;
        for (Need need : needs) {
            most = Math.max(most, held + Math.max(need.making(), need.calling()));
            held += need.kept();
        }
        // why: in their rounds all are there, and one of them calls.
        long more = 0;
        for (Need need : needs) {
            more = Math.max(more, need.calling() - need.kept());
        }
        return Math.max(most, held + more);
    }

    /**
     * A trial at the speed that the machine reaches at most; what a contender does besides is not known.
     *
     * @param seconds of the process
     * @param calls of all contenders in the rounds, those of a sample being one
     */
    public record Duration(double seconds, double calls) {
        /** So many processes. */
        public Duration times(int processes) {
            return new Duration(processes * seconds, processes * calls);
        }
    }

    /** How long the trial takes at least. */
    public Duration duration(Roofline roof, Rounds rounds) {
        double rate = roof.gigaflops().getOrDefault(dtype.name().toLowerCase(Locale.ROOT), Double.NaN) * 1e9;
        double first = 0;
        double warmup = 0;
        double round = 0;
        int resting = 0;
        for (Need need : needs) {
            double call = Math.max(orZero(need.flops() / rate), orZero(need.traffic() / (roof.gigabytes() * 1e9)));
            first += FIRST_CALLS * call;
            warmup += Contender.isWarm(call) ? 0 : Contender.sampleSeconds(call);
            round += Contender.sampleSeconds(call);
            resting += need.unquiet() ? 1 : 0;
        }
        double warming = rounds.warmup() * warmup;
        double least = warming + Trial.FEWEST_ROUNDS * round;
        double all = warming + rounds.measured() * round;
        double measuring = Math.min(all, Math.max(least, rounds.budgetSeconds()));
        double times = round > 0 ? measuring / round : rounds.measured();
        double rests = round > 0 ? times * resting * Trial.REST_SECONDS : 0;
        return new Duration(START_SECONDS + first + measuring + rests, needs.size() * times);
    }

    private static double orZero(double value) {
        return Double.isFinite(value) ? value : 0;
    }
}
