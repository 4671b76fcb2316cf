package io.graft.benchmarks;

import io.graft.adapter.Adapter;
import io.graft.adapter.Full;
import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.TemporaryFolder;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.PeftStep;
import io.graft.cli.Calibration;
import io.graft.cli.Method;
import io.graft.model.Llama;
import io.graft.tensor.Scope;
import io.graft.train.BatchSource;
import io.graft.train.Trainer;
import java.util.Locale;
import java.util.function.DoubleSupplier;

/**
 * A whole training step: forward, loss, backward, AdamW. A method has to learn the one batch that it is given: one whose loss
 * is not lower after some steps is reported and not timed. Python's PEFT does the same step in a process of its own, on the
 * weights and the adapter of Graft's contender.
 */
public class StepBenchmark extends ModelBenchmark {
    private static final int COMPARED_TOKENS = 8;
    private static final int LEARNING_STEPS = 4;

    /** why: a model whose step takes longer than this learns for minutes before anything is timed. */
    private static final double LONG_STEP_SECONDS = 5;

    /** Floating point operations for a weight and a token: forward and the gradient of its input, a product each. */
    private static final int FLOPS = 4;

    /** And its own gradient. */
    private static final int WITH_WEIGHT_GRADIENT = 6;

    /** Forward, loss and all activation gradients: a norm of the first block is trained, so that backward goes there. */
    @Override
    protected Work frozen(Inputs inputs) {
        Adapter first = new Full("model.layers.0.input_layernorm.weight"::equals);
        return step(inputs, first, 0, FLOPS).work();
    }

    @Override
    protected Work under(Method method, Inputs inputs) {
        Step step = step(
                inputs,
                adapter(method),
                method.learningRate(),
                method.peftType() == null ? WITH_WEIGHT_GRADIENT : FLOPS);
        return step.work().gives("loss", () -> new float[] {step.first}).unless(() -> step.fault());
    }

    @Override
    protected void beside(Trial trial, String contender, Method method) {
        if (PeftStep.python() != null) {
            trial.process("peft " + contender, contender, inputs -> peft(inputs, method));
        }
    }

    private Work peft(Inputs inputs, Method method) {
        try (TemporaryFolder base = new TemporaryFolder();
                TemporaryFolder adapter = new TemporaryFolder()) {
            try (Scope making = inputs.scope().scope();
                    Llama llama = create(making, Llama.Options.inference())) {
                llama.save(base.path());
            }
            String trained = method == null ? PeftStep.FROZEN : PeftStep.FULL;
            if (method != null && method.peftType() != null) {
                save(method, inputs, adapter.path());
                trained = adapter.path().toString();
            }
            return PeftStep.start(base.path(), trained, type(), threads(), model(), COMPARED_TOKENS);
        }
    }

    private Step step(Inputs inputs, Adapter adapter, double rate, int flops) {
        Llama llama = create(inputs.scope(), Llama.Options.training(adapter));
        BatchSource batches = model().batches();
        Calibration.run(llama, batches, EXAMPLES);
        return new Step(llama, new Trainer(llama, Trainer.Options.of(Integer.MAX_VALUE, rate), batches), flops);
    }

    /**
     * What is wrong with the losses of further steps; null where they learn: the last is lower than the first one, and all are
     * finite.
     *
     * @param longStep seconds; after a step that takes more, the first loss that is lower is the last
     */
    static String fault(float first, DoubleSupplier step, double longStep) {
        double last = first;
        int steps = 0;
        boolean enough = false;
        while (Double.isFinite(last) && steps < LEARNING_STEPS && !enough) {
            long start = System.nanoTime();
            last = step.getAsDouble();
            steps++;
            enough = last < first && (System.nanoTime() - start) * 1e-9 > longStep;
        }
        return Double.isFinite(last) && last < first
                ? null
                : String.format(
                        Locale.ROOT,
                        "its loss is %.4f before and %.4f after %d more steps on one batch, and must be finite and lower",
                        first,
                        last,
                        steps);
    }

    private final class Step {
        private final Llama llama;
        private final Trainer trainer;
        private final int flops;
        private Float first;

        Step(Llama llama, Trainer trainer, int flops) {
            this.llama = llama;
            this.trainer = trainer;
            this.flops = flops;
        }

        Work work() {
            Work work = new Work(this::run).tokens(model().tokens()).cost(flops * weights() * model().tokens(), 0);
            return compared(work, llama, COMPARED_TOKENS);
        }

        private void run() {
            float loss = trainer.step();
            if (first == null) {
                first = loss;
            }
        }

        String fault() {
            return StepBenchmark.fault(first, trainer::step, LONG_STEP_SECONDS);
        }
    }
}
