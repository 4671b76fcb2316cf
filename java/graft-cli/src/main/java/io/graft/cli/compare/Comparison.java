package io.graft.cli.compare;

import io.graft.cli.Output;
import io.graft.cli.Progress;
import io.graft.model.Batch;
import java.util.List;
import java.util.function.BooleanSupplier;

/**
 * Contenders that train in turns, a few steps each, so that a machine that speeds up and slows down does so for all of
 * them; all make the same number of steps.
 */
public final class Comparison {
    /** Steps of a turn: so few that turns alternate often, so many that one untimed step of each does not matter. */
    private static final int TURN = 10;

    private final Output out;
    private final List<Contender> contenders;
    private final List<Batch> validation;
    private final BooleanSupplier interrupted;
    private long steps;
    private long done;
    private long deadline = Long.MAX_VALUE;
    private double secondsPerRoundOfOne;

    /** @param interrupted asked between turns; once it says yes, the round is finished and the comparison ends */
    public Comparison(Output out, List<Contender> contenders, List<Batch> validation, BooleanSupplier interrupted) {
        this.out = out;
        this.contenders = List.copyOf(contenders);
        this.validation = validation;
        this.interrupted = interrupted;
    }

    /** So many steps each. */
    public List<Result> run(long count) {
        start();
        plan(count);
        return train();
    }

    /**
     * As many steps as fit.
     *
     * @param seconds for planned training
     * @param most seconds after which it ends early, should the machine become slower than it was when it was measured
     */
    public List<Result> run(double seconds, double most, long least, long limit) {
        long started = System.nanoTime();
        deadline = started + (long) (most * 1e9);
        start();
        steps = Math.min(StepPlan.WARMUP, limit);
        long first = Math.min(TURN, steps);
        round(null, first);
        double left = seconds - (System.nanoTime() - started) * 1e-9;
        plan(Math.max(least, Math.min(limit, first + (long) (left / secondsPerRoundOfOne))));
        return train();
    }

    private void start() {
        contenders.forEach(contender -> contender.start(out, validation));
    }

    private void plan(long count) {
        steps = count;
        contenders.forEach(contender -> contender.plan(count));
    }

    private List<Result> train() {
        try (Progress progress = new Progress(out, "training", steps * contenders.size())) {
            while (done < steps && (done == 0 || !interrupted.getAsBoolean())) {
                double left = (deadline - System.nanoTime()) * 1e-9;
                long fitting = done == 0 ? TURN : (long) (left / secondsPerRoundOfOne);
                if (fitting <= 0) {
                    out.note("     time is up after %d of %d steps", done, steps);
                    break;
                }
                round(progress, Math.min(Math.min(TURN, fitting), steps - done));
            }
        }
        return contenders.stream()
                .map(contender -> contender.finish(out, validation))
                .toList();
    }

    private void round(Progress progress, long count) {
        long started = System.nanoTime();
        long made = done * contenders.size();
        for (Contender contender : contenders) {
            double loss = contender.turn(count);
            made += count;
            if (progress != null) {
                progress.update(made, loss, contender.tokensPerSecond(), contender.memory());
            }
        }
        done += count;
        secondsPerRoundOfOne = (System.nanoTime() - started) * 1e-9 / count;
    }
}
