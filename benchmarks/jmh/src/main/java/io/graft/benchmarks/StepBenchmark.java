package io.graft.benchmarks;

import io.graft.adapter.Adapter;
import io.graft.adapter.Full;
import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.Work;
import io.graft.cli.Calibration;
import io.graft.cli.Method;
import io.graft.model.Llama;
import io.graft.train.BatchSource;
import io.graft.train.Trainer;
import java.util.Locale;

/**
 * A whole training step: forward, loss, backward, AdamW. A method has to learn the one batch that it is given: a step after
 * which the loss has not fallen is reported and not timed.
 */
public class StepBenchmark extends ModelBenchmark {
    private static final int COMPARED_TOKENS = 8;
    private static final int LEARNING_STEPS = 4;

    /** Forward, loss and all activation gradients: a norm of the first block is trained, so that backward goes there. */
    @Override
    protected Work frozen(Inputs inputs) {
        Adapter first = new Full("model.layers.0.input_layernorm.weight"::equals);
        return step(inputs, first, 0).work();
    }

    @Override
    protected Work under(Method method, Inputs inputs) {
        Step step = step(inputs, adapter(method), method.learningRate());
        return step.work().unless(() -> step.fault());
    }

    private Step step(Inputs inputs, Adapter adapter, double rate) {
        Llama llama = create(inputs, Llama.Options.training(adapter));
        BatchSource batches = model().batches();
        Calibration.run(llama, batches, EXAMPLES);
        return new Step(llama, new Trainer(llama, Trainer.Options.of(Integer.MAX_VALUE, rate), batches));
    }

    private final class Step {
        private final Llama llama;
        private final Trainer trainer;
        private float first = Float.NaN;

        Step(Llama llama, Trainer trainer) {
            this.llama = llama;
            this.trainer = trainer;
        }

        Work work() {
            return compared(new Work(this::run).tokens(model().tokens()), llama, COMPARED_TOKENS);
        }

        private void run() {
            float loss = trainer.step();
            if (Float.isNaN(first)) {
                first = loss;
            }
        }

        /** Null once it has learnt. */
        String fault() {
            float last = first;
            for (int i = 0; i < LEARNING_STEPS; i++) {
                last = trainer.step();
            }
            return last < first
                    ? null
                    : String.format(
                            Locale.ROOT,
                            "its loss is %.4f before and %.4f after %d steps on one batch",
                            first,
                            last,
                            LEARNING_STEPS);
        }
    }
}
