package io.graft.cli.demo;

import io.graft.cli.Evaluation;
import io.graft.cli.OpenModel;
import io.graft.cli.Output;
import io.graft.cli.Progress;
import io.graft.model.Batch;
import io.graft.tensor.Context;
import io.graft.train.BatchSource;
import io.graft.train.Trainer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.DoubleToLongFunction;

/** Trains one model for the demo and takes the measurements of its row in the table. */
final class TrainingRun {
    /** why: the first steps also pay for the JIT compiler and for memory that is touched for the first time. */
    private static final int UNTIMED = 3;

    private static final int MEASURED = 5;
    private static final long PATIENCE = 10_000_000_000L;

    private final Output out;
    private final OpenModel model;
    private final BatchSource source;
    private final long tokensPerStep;
    private final StepPlan plan;
    private final long seed;
    private long deadline = Long.MAX_VALUE;

    TrainingRun(Output out, OpenModel model, BatchSource source, long tokensPerStep, double rate, long seed) {
        this.out = out;
        this.model = model;
        this.source = source;
        this.tokensPerStep = tokensPerStep;
        this.plan = new StepPlan(rate);
        this.seed = seed;
    }

    /** Seconds that a step takes, by a few steps that change the model: for one that is thrown away. */
    double secondsPerStep() {
        List<Double> times = new ArrayList<>();
        try (Trainer trainer = trainer()) {
            for (int i = 0; i < UNTIMED + MEASURED; i++) {
                long start = System.nanoTime();
                trainer.step();
                if (i >= UNTIMED) {
                    times.add((System.nanoTime() - start) * 1e-9);
                }
            }
        }
        return DemoResult.median(times);
    }

    /** Ends the training after the step in progress at that time: the machine may have become slower than measured. */
    TrainingRun until(double seconds) {
        deadline = System.nanoTime() + (long) (seconds * 1e9);
        return this;
    }

    /** Trains for so many steps. */
    DemoResult train(String name, List<Batch> validation, long steps) {
        plan.steps(steps);
        return train(name, validation, seconds -> steps);
    }

    /**
     * Trains.
     *
     * @param steps gives the number of steps when it is told the seconds of one
     */
    DemoResult train(String name, List<Batch> validation, DoubleToLongFunction steps) {
        Context context = model.llama().context();
        double before = Evaluation.of(out, model.llama(), validation).loss();
        List<Double> times = new ArrayList<>();
        List<Double> losses = new ArrayList<>();
        context.resetPeak();
        try (Trainer trainer = trainer()) {
            long start = System.nanoTime();
            while (trainer.steps() < plan.steps() && !measured(trainer.steps(), System.nanoTime() - start)) {
                step(trainer, times, losses);
            }
            plan.steps(steps.applyAsLong(DemoResult.median(times)));
            try (Progress progress = new Progress(out, name, plan.steps())) {
                while (trainer.steps() < plan.steps() && System.nanoTime() < deadline) {
                    step(trainer, times, losses);
                    double seconds = times.get(times.size() - 1);
                    progress.update(
                            trainer.steps(), losses.get(losses.size() - 1), tokensPerStep / seconds, context.memory());
                }
            }
        }
        long peak = context.peakMemory();
        double after = Evaluation.of(out, model.llama(), validation).loss();
        double median = DemoResult.median(times);
        return new DemoResult(
                name,
                model.trainedParameters(),
                losses.size(),
                median * 1e3,
                tokensPerStep / median,
                peak,
                before,
                after,
                losses.stream().mapToDouble(Double::doubleValue).toArray());
    }

    /** The whole warm-up, but where steps are slow fewer. */
    private static boolean measured(long steps, long nanoseconds) {
        return steps >= StepPlan.WARMUP || (steps >= UNTIMED + MEASURED && nanoseconds > PATIENCE);
    }

    private static void step(Trainer trainer, List<Double> times, List<Double> losses) {
        long start = System.nanoTime();
        losses.add((double) trainer.step());
        double seconds = (System.nanoTime() - start) * 1e-9;
        if (losses.size() > UNTIMED) {
            times.add(seconds);
        }
    }

    private Trainer trainer() {
        Trainer.Options options =
                Trainer.Options.of(Long.MAX_VALUE, 0).withSchedule(plan).withDropoutSeed(seed);
        return new Trainer(model.llama(), options, source);
    }
}
