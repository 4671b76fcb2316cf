package io.graft.cli;

import io.graft.binding.GraftUnsupportedException;
import io.graft.io.LlamaConfig;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.train.Example;
import io.graft.train.ExampleBatches;
import io.graft.train.Trainer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Two steps of a training run on a context that counts memory and computes nothing: what the run will take, and whether
 * the device has all that it will ask for.
 *
 * @param batch rows
 * @param length tokens of a row
 */
record Plan(
        ModelOptions model,
        MethodOptions methods,
        OptimizerOptions optimizer,
        boolean checkpointing,
        int batch,
        int length) {
    /** What a GPU lacks for a method, in the words of the op that would fail; null: nothing. */
    String missing(LlamaConfig config, Method method) {
        if (model.device.isCpu()) {
            return null;
        }
        try {
            run(config, method, 1, llama -> {});
            return null;
        } catch (GraftUnsupportedException | UnsupportedOperationException missing) {
            return missing.getMessage();
        }
    }

    /** The failure of a run for which the device lacks something. */
    InputException refusal(Method method, String missing) {
        return new InputException("--method " + method.name() + " does not run on " + model.device + ": " + missing);
    }

    /** Shows the model with which the run ended. threads: of the CPU; 0: all. */
    void run(LlamaConfig config, Method method, int threads, Consumer<Llama> end) {
        List<Example> examples = new ArrayList<>();
        for (int i = 0; i < batch; i++) {
            examples.add(Example.of(new int[length]));
        }
        ExampleBatches source = new ExampleBatches(examples, batch, length, length, 0);
        Llama.Options options = Llama.Options.training(method.planned().create(methods, 0L))
                .withGradientCheckpointing(checkpointing)
                .withBase(model.quantize.kind());
        try (Context context = Context.planning(model.device, threads);
                OpenModel opened = OpenModel.create(context, config, model.dtype.dtype(), 0, options)) {
            Calibration.run(opened.llama(), source, 1);
            Trainer.Options steps = Trainer.Options.of(2, method.learningRate()).withOptimiser(optimizer.settings(0));
            try (Trainer trainer = new Trainer(opened.llama(), steps, source)) {
                trainer.run();
                end.accept(opened.llama());
            }
        }
    }
}
