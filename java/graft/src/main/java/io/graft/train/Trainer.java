package io.graft.train;

import io.graft.adapter.Adapter;
import io.graft.adapter.OptimiserStep;
import io.graft.model.Batch;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * The training loop: batches, gradients, optimiser step, schedule. A step makes no tensors and no garbage once the
 * batches have settled on a shape. The loss of a step is the mean over the targets of all its batches, so that
 * accumulation does not change the result.
 */
public final class Trainer implements AutoCloseable {
    /**
     * @param steps optimiser steps until {@link #run()} ends
     * @param accumulation batches for each optimiser step
     * @param dropoutSeed seed of the dropout masks
     * @param adapterDrop each step leaves the adapters of the lowest 0 to so many blocks out, as many as it draws (AdapterDrop,
     *     arXiv 2010.11918, section 3); 0: none
     * @param graphs on a CUDA device: passes and the optimiser's steps that are the same each time are kept as graphs, with the
     *     same bits ({@link io.graft.tensor.Repeated})
     */
    public record Options(
            long steps,
            int accumulation,
            Schedule schedule,
            OptimiserSettings optimiser,
            long dropoutSeed,
            int adapterDrop,
            boolean graphs) {
        public Options {
            if (steps < 0 || accumulation < 1 || adapterDrop < 0) {
                throw new IllegalArgumentException("Trainer: " + steps + " steps, accumulation " + accumulation
                        + ", adapters of " + adapterDrop + " blocks left out");
            }
        }

        public Options(long steps, int accumulation, Schedule schedule, OptimiserSettings optimiser, long dropoutSeed) {
            this(steps, accumulation, schedule, optimiser, dropoutSeed, 0, false);
        }

        public static Options of(long steps, double rate) {
            return new Options(steps, 1, Schedule.constant(rate), AdamW.Settings.defaults(), 0);
        }

        public Options withAccumulation(int batches) {
            return new Options(steps, batches, schedule, optimiser, dropoutSeed, adapterDrop, graphs);
        }

        public Options withSchedule(Schedule value) {
            return new Options(steps, accumulation, value, optimiser, dropoutSeed, adapterDrop, graphs);
        }

        public Options withOptimiser(OptimiserSettings value) {
            return new Options(steps, accumulation, schedule, value, dropoutSeed, adapterDrop, graphs);
        }

        public Options withDropoutSeed(long value) {
            return new Options(steps, accumulation, schedule, optimiser, value, adapterDrop, graphs);
        }

        public Options withAdapterDrop(int blocks) {
            return new Options(steps, accumulation, schedule, optimiser, dropoutSeed, blocks, graphs);
        }

        public Options withGraphs(boolean on) {
            return new Options(steps, accumulation, schedule, optimiser, dropoutSeed, adapterDrop, on);
        }
    }

    /** Sees each step when it is done. */
    @FunctionalInterface
    public interface Listener {
        /**
         * @param step optimiser steps done, this one included
         * @param loss mean loss before the step
         * @param gradientNorm global norm before clipping
         * @param tokensPerSecond real tokens, over the whole step
         */
        void onStep(long step, float loss, double rate, double gradientNorm, double tokensPerSecond);
    }

    /** why: no batch has as many (token, feature) pairs, so that no two batches share a dropout counter. */
    private static final int DROPOUT_COUNTERS_PER_BATCH = 40;

    private final Llama model;
    private final Options options;
    private final BatchSource source;
    private final Optimiser optimiser;
    private final Function<Parameter, List<Tensor>> moments;
    private final Batch[] batches;
    private final BatchesLoss objective = new BatchesLoss();
    private final List<String> unkept = new ArrayList<>();
    private Listener listener = (step, loss, rate, norm, speed) -> {};
    private long steps;
    private volatile boolean stopping;

    public Trainer(Llama model, Options options, BatchSource source) {
        if (model.adapter() == null) {
            throw new IllegalArgumentException(
                    "Trainer: the model has nothing to train, make it with Options.training");
        }
        this.model = model;
        this.options = options;
        this.source = source;
        this.optimiser = options.optimiser().create(model.scope(), model.trainable());
        boolean keepsGradients = optimiser.usesGradients() && !optimiser.movesInBackward();
        if (!keepsGradients && !model.adapter().trainsWithoutGradients()) {
            throw new IllegalArgumentException("Trainer: "
                    + model.adapter().getClass().getSimpleName() + " looks at gradients, of which there are none with "
                    + optimiser.getClass().getSimpleName() + (optimiser.usesGradients() ? " in backward" : ""));
        }
        if (optimiser.movesInBackward() && options.accumulation() > 1) {
            throw new IllegalArgumentException("Trainer: gradients of " + options.accumulation()
                    + " batches cannot accumulate, for parameters are moved in backward");
        }
        if (!optimiser.givesMoments() && model.adapter().changesMoments()) {
            throw new IllegalArgumentException("Trainer: "
                    + model.adapter().getClass().getSimpleName() + " changes moments while it trains, which "
                    + optimiser.getClass().getSimpleName() + " keeps in 8 bits here");
        }
        if (options.graphs()) {
            keepWork();
        }
        model.keepPasses(options.graphs() && model.adapter().repeats());
        this.moments = optimiser::moments;
        this.batches = new Batch[options.accumulation()];
        for (int i = 0; i < batches.length; i++) {
            batches[i] = new Batch();
        }
        try {
            model.leaveOutAdapters(options.adapterDrop());
        } finally {
            model.leaveOutAdapters(0);
        }
        plan(options.steps());
    }

    private void keepWork() {
        if (model.context().device().isCpu()) {
            throw new IllegalArgumentException("Trainer: graphs are of CUDA devices, the model is on the CPU");
        }
        if (!model.adapter().repeats()) {
            unkept.add("the passes of " + model.adapter().getClass().getSimpleName() + " differ from step to step");
        }
        if (!optimiser.keepSteps()) {
            unkept.add("the steps of this optimiser differ from one another");
        }
    }

    /** What of a step is called op by op though it was to be a graph, and why: known when two steps are made. */
    public List<String> unkept() {
        List<String> reasons = new ArrayList<>(unkept);
        Stream.of(model.unkeptPass(), optimiser.unkeptSteps())
                .filter(Objects::nonNull)
                .forEach(reasons::add);
        return reasons;
    }

    /** Sets the number of steps until {@link #run()} ends, for adapters that change on the way. */
    public void plan(long total) {
        steps = total;
        model.adapter().starting(total);
        model.parametersChanged();
    }

    public Trainer onStep(Listener value) {
        listener = value;
        return this;
    }

    /** Trains until the number of steps is reached or {@link #stop()} is called. */
    public void run() {
        while (optimiser.steps() < steps && !stopping) {
            step();
        }
    }

    /** Ends {@link #run()} after the step in progress; may be called from another thread. */
    public void stop() {
        stopping = true;
    }

    /** One optimiser step; returns its loss. */
    public float step() {
        long start = System.nanoTime();
        objective.targets = 0;
        long tokens = 0;
        for (Batch batch : batches) {
            source.next(batch);
            objective.targets += model.targets(batch);
            tokens += batch.tokens();
        }
        double rate = options.schedule().rate(optimiser.steps());
        float loss = optimiser.step(objective, rate);
        model.adapter().stepped(new OptimiserStep(optimiser.steps(), rate, moments));
        model.parametersChanged();
        recalibrate(model.adapter().recalibration());
        double seconds = (System.nanoTime() - start) * 1e-9;
        listener.onStep(optimiser.steps(), loss, rate, optimiser.gradientNorm(), tokens / seconds);
        return loss;
    }

    private void recalibrate(Adapter.Recalibration wanted) {
        if (wanted != null) {
            long recent = wanted.steps() * batches.length;
            List<Batch> hardest = HardExamples.of(model, source, recent, wanted.examples());
            model.calibrate(hardest.size(), hardest::get);
            model.parametersChanged();
        }
    }

    /** The loss of the batches that a step has taken, the mean over the targets of all of them. */
    private final class BatchesLoss implements Optimiser.Objective {
        private long targets;

        @Override
        public float loss() {
            model.parametersChanged();
            model.leaveOutAdapters(drawnBlocks());
            float loss = 0;
            for (Batch batch : batches) {
                loss += targets == 0 ? 0 : model.loss(batch) * model.targets(batch) / targets;
            }
            model.leaveOutAdapters(0);
            return loss;
        }

        @Override
        public float lossAndGradients(Consumer<List<Parameter>> finished) {
            model.duringBackward(finished);
            try {
                return lossAndGradients();
            } finally {
                model.duringBackward(null);
            }
        }

        @Override
        public float lossAndGradients() {
            model.zeroGradients();
            model.leaveOutAdapters(drawnBlocks());
            float loss = 0;
            for (int i = 0; i < batches.length; i++) {
                long counter = optimiser.steps() * batches.length + i;
                // why: without targets there is no loss; the op's own normaliser then gives 0 instead of 0/0.
                loss += model.lossAndGradients(
                        batches[i], targets, options.dropoutSeed(), counter << DROPOUT_COUNTERS_PER_BATCH);
            }
            model.leaveOutAdapters(0);
            return loss + (float) model.adapter().regularise();
        }

        /** why by itself: a resume needs no more than the step. */
        private int drawnBlocks() {
            if (options.adapterDrop() == 0) {
                return 0;
            }
            SplittableRandom random =
                    new SplittableRandom(options.dropoutSeed() * 0x9E3779B97F4A7C15L + optimiser.steps());
            return random.nextInt(options.adapterDrop() + 1);
        }
    }

    /** Mean loss over the targets of some batches, without dropout. */
    public static double evaluate(Llama model, List<Batch> batches) {
        double sum = 0;
        long targets = 0;
        for (Batch batch : batches) {
            long count = model.targets(batch);
            sum += model.loss(batch) * (double) count;
            targets += count;
        }
        return targets == 0 ? 0 : sum / targets;
    }

    /** Optimiser steps done. */
    public long steps() {
        return optimiser.steps();
    }

    public Optimiser optimiser() {
        return optimiser;
    }

    /** Writes all that a resume needs into one file, atomically: it is either the old or the new one. */
    public void save(Path file) {
        TrainingCheckpoint.save(file, optimiser, model.adapter(), source.position(), options.dropoutSeed());
    }

    /** Continues from such a file: from then on every bit is what it would have been without the interruption. */
    public void resume(Path file) {
        source.seek(TrainingCheckpoint.restore(file, optimiser, model.adapter(), options.dropoutSeed()));
        model.adapter().restored(optimiser.steps());
        model.parametersChanged();
    }

    @Override
    public void close() {
        optimiser.close();
        model.keepPasses(false);
    }
}
