package io.graft.cli.compare;

import io.graft.cli.Evaluation;
import io.graft.cli.OpenModel;
import io.graft.cli.Output;
import io.graft.model.Batch;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.train.BatchSource;
import io.graft.train.Trainer;
import java.util.ArrayList;
import java.util.List;

/**
 * One method in a comparison: a model in a context of its own, trained in turns with others. Between its turns it holds
 * its weights and the state of its optimiser, but no activations.
 */
public final class Contender implements AutoCloseable {
    /** why: the first steps of all also pay for the JIT compiler; the first of a turn makes the activations anew. */
    private static final int UNTIMED_AT_START = 3;

    private static final int UNTIMED_IN_A_TURN = 1;

    private final String title;
    private final Context context;
    private final OpenModel model;
    private final Trainer trainer;
    private final StepPlan plan;
    private final long tokensPerStep;
    private final List<Double> seconds = new ArrayList<>();
    private final List<Double> untimedSeconds = new ArrayList<>();
    private final List<Double> losses = new ArrayList<>();
    private double before;

    /**
     * Takes the model and its context over: they are closed with the contender.
     *
     * @param context the model's, which no other contender uses
     * @param tokensPerStep rows times length of a batch
     * @param rate the highest learning rate
     */
    public Contender(
            String title,
            Context context,
            OpenModel model,
            BatchSource source,
            long tokensPerStep,
            double rate,
            long seed) {
        this.title = title;
        this.context = context;
        this.model = model;
        this.tokensPerStep = tokensPerStep;
        this.plan = new StepPlan(rate);
        Trainer.Options options =
                Trainer.Options.of(Long.MAX_VALUE, 0).withSchedule(plan).withDropoutSeed(seed);
        this.trainer = new Trainer(model.llama(), options, source);
    }

    /** Measures the loss before training. */
    void start(Output out, List<Batch> validation) {
        before = loss(out, validation);
        context.resetPeak();
    }

    private double loss(Output out, List<Batch> validation) {
        double loss = Evaluation.of(out, model.llama(), validation).loss();
        model.llama().release();
        return loss;
    }

    void plan(long steps) {
        plan.steps(steps);
        trainer.plan(steps);
    }

    /** Makes so many steps; returns the last loss. */
    double turn(long steps) {
        int untimed = losses.isEmpty() ? UNTIMED_AT_START : UNTIMED_IN_A_TURN;
        for (long i = 0; i < steps; i++) {
            long start = System.nanoTime();
            losses.add((double) trainer.step());
            (i >= untimed ? seconds : untimedSeconds).add((System.nanoTime() - start) * 1e-9);
        }
        model.llama().release();
        return losses.get(losses.size() - 1);
    }

    /** Median of the timed steps; of the first ones where there were no others. */
    double secondsPerStep() {
        return Result.median(seconds.isEmpty() ? untimedSeconds : seconds);
    }

    double tokensPerSecond() {
        return tokensPerStep / secondsPerStep();
    }

    long memory() {
        return context.peakMemory();
    }

    /** Measures the loss after training. */
    Result finish(Output out, List<Batch> validation) {
        Result.Bytes bytes = new Result.Bytes(
                context.peakMemory(Memory.BASE),
                context.peakMemory(Memory.ADAPTER)
                        + context.peakMemory(Memory.GRADIENT)
                        + context.peakMemory(Memory.OPTIMIZER),
                context.peakMemory(Memory.ACTIVATION),
                context.peakMemory());
        return new Result(
                title,
                model.trainedParameters(),
                losses.size(),
                secondsPerStep() * 1e3,
                tokensPerSecond(),
                bytes,
                before,
                loss(out, validation),
                losses.stream().mapToDouble(Double::doubleValue).toArray());
    }

    public OpenModel model() {
        return model;
    }

    @Override
    public void close() {
        trainer.close();
        model.close();
        context.close();
    }
}
