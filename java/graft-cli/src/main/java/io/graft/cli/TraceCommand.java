package io.graft.cli;

import io.graft.io.SafetensorsFile;
import io.graft.io.SafetensorsWriter;
import io.graft.model.Batch;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.train.AdamW;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * {@code graft trace}: what the model computes on one batch, written to a file, so that anybody can hold it against
 * another framework.
 *
 * <p>Names in the output: {@code logits} [B,T,V] (with prompt tuning [B,P+T,V], the virtual tokens first), {@code loss} [1], with {@code --gradients} {@code grad.<name>} of
 * every trained parameter; with {@code --steps N} also {@code losses} [N] (each before its step),
 * {@code gradient_norms} [N] (before clipping), {@code loss_after} [1] and every trained parameter under its name.
 * Names are those of the checkpoint or, with an adapter, of PEFT's adapter file.
 */
@Command(
        name = "trace",
        description = "Write logits, loss, gradients and the result of training steps on one batch to a file.")
final class TraceCommand extends GraftCommand {
    @Mixin
    ModelOptions model;

    @Option(names = "--adapter", paramLabel = "DIR", description = "Adapter in PEFT's layout; it alone is trained.")
    Path adapter;

    @Option(
            names = "--batch",
            required = true,
            paramLabel = "FILE",
            description = "Safetensors with input_ids, attention_mask, position_ids and labels, int64 [B,T].")
    Path batch;

    @Option(names = "--out", required = true, paramLabel = "FILE", description = "Safetensors file to write.")
    Path outFile;

    @Option(names = "--gradients", description = "Also write the gradient of every trained parameter.")
    boolean gradients;

    @Option(names = "--steps", paramLabel = "N", description = "Make N AdamW steps on the batch (default: 0).")
    int steps;

    @Option(
            names = "--lr",
            paramLabel = "RATE",
            description = "Learning rate of the steps (default: ${DEFAULT-VALUE}).")
    double rate = 1e-3;

    @Option(names = "--weight-decay", paramLabel = "X", description = "Decoupled decay (default: ${DEFAULT-VALUE}).")
    double weightDecay = 0.01;

    @Option(
            names = "--clip",
            paramLabel = "NORM",
            description = "Clip gradients to this global norm; 0: never (default: ${DEFAULT-VALUE}).")
    double clip = 1.0;

    @Option(names = "--beta1", paramLabel = "X", description = "Default: ${DEFAULT-VALUE}.")
    double beta1 = 0.9;

    @Option(names = "--beta2", paramLabel = "X", description = "Default: ${DEFAULT-VALUE}.")
    double beta2 = 0.999;

    @Option(names = "--epsilon", paramLabel = "X", description = "Default: ${DEFAULT-VALUE}.")
    double epsilon = 1e-8;

    @Override
    protected int execute() {
        notNegative("--steps", steps);
        notNegative("--lr", rate);
        notNegative("--clip", clip);
        model.check();
        existing("--batch", batch);
        boolean training = gradients || steps > 0;
        try (Context context = openContext(model.device);
                OpenModel opened = model.open(context, adapter, training);
                Scope scope = context.scope()) {
            Batch input = read(scope, batch);
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            float loss = forward(scope, opened.llama(), input, tensors);
            if (gradients) {
                gradients(scope, opened.llama(), input, tensors);
            }
            if (steps > 0) {
                train(scope, opened.llama(), input, tensors);
            }
            SafetensorsWriter.write(outFile, tensors, SafetensorsWriter.PYTORCH);
            out().say("loss %.6f; %d tensors written to %s", loss, tensors.size(), outFile);
            out().event("trace", "loss", loss, "tensors", tensors.size(), "file", outFile.toString());
        }
        return 0;
    }

    /** The batch of a file; a missing mask means no padding. Where positions begin at 0 again a row has another sequence. */
    static Batch read(Scope scope, Path file) {
        try (SafetensorsFile source = SafetensorsFile.open(file)) {
            if (!source.contains("input_ids")) {
                throw new InputException("--batch " + file + " has no tensor input_ids");
            }
            long[] shape = source.shape("input_ids");
            if (shape.length != 2) {
                throw new InputException(
                        "--batch " + file + ": input_ids is " + Arrays.toString(shape) + ", expected [B,T]");
            }
            int[] ids = ints(scope, source, file, "input_ids", shape);
            int[] labels = source.contains("labels") ? ints(scope, source, file, "labels", shape) : null;
            int rows = Math.toIntExact(shape[0]);
            int length = Math.toIntExact(shape[1]);
            Batch batch = source.contains("attention_mask")
                    ? Batch.of(rows, length, ids, ints(scope, source, file, "attention_mask", shape), labels)
                    : Batch.of(rows, length, ids, labels);
            if (source.contains("position_ids")) {
                pack(batch, ints(scope, source, file, "position_ids", shape), file);
            }
            return batch;
        }
    }

    private static void pack(Batch batch, int[] positions, Path file) {
        int[] starts = batch.pack();
        for (int i = 0; i < starts.length; i++) {
            int at = i % batch.length();
            starts[i] = positions[i] == 0 || at == 0 ? at : starts[i - 1];
            if (positions[i] != at - starts[i]) {
                throw new InputException("--batch " + file + ": position_ids[" + i / batch.length() + ", " + at
                        + "] is " + positions[i] + ", expected 0 or " + (at - starts[i]));
            }
        }
    }

    private static int[] ints(Scope scope, SafetensorsFile source, Path file, String name, long[] shape) {
        if (!Arrays.equals(source.shape(name), shape)) {
            throw new InputException("--batch " + file + ": " + name + " is " + Arrays.toString(source.shape(name))
                    + " but input_ids is " + Arrays.toString(shape));
        }
        try (Tensor tensor = scope.tensor(Memory.WORKSPACE, DType.I64, shape)) {
            source.read(name, tensor);
            return Arrays.stream(tensor.longs()).mapToInt(Math::toIntExact).toArray();
        }
    }

    private static float forward(Scope scope, Llama llama, Batch batch, Map<String, Tensor> tensors) {
        Tensor logits = copy(scope, llama.logitsTensor(batch));
        long vocabulary = logits.size(logits.rank() - 1);
        tensors.put("logits", logits.reshape(batch.batch(), logits.size(0) / batch.batch(), vocabulary));
        float loss = llama.loss(batch);
        tensors.put("loss", vector(scope, new float[] {loss}));
        return loss;
    }

    private static void gradients(Scope scope, Llama llama, Batch batch, Map<String, Tensor> tensors) {
        llama.zeroGradients();
        llama.lossAndGradients(batch);
        for (Parameter parameter : llama.trainable()) {
            tensors.put("grad." + Method.key(llama, parameter), copy(scope, parameter.gradient()));
        }
    }

    private void train(Scope scope, Llama llama, Batch batch, Map<String, Tensor> tensors) {
        float[] losses = new float[steps];
        float[] norms = new float[steps];
        AdamW.Settings settings = new AdamW.Settings(beta1, beta2, epsilon, weightDecay, clip);
        try (AdamW optimiser = new AdamW(scope, llama.trainable(), settings)) {
            for (int step = 0; step < steps; step++) {
                llama.zeroGradients();
                losses[step] = llama.lossAndGradients(batch);
                norms[step] = (float) optimiser.step(rate);
                llama.parametersChanged();
                out().event("step", "step", step + 1, "loss", losses[step], "gradient_norm", norms[step]);
            }
        }
        tensors.put("losses", vector(scope, losses));
        tensors.put("gradient_norms", vector(scope, norms));
        tensors.put("loss_after", vector(scope, new float[] {llama.loss(batch)}));
        for (Parameter parameter : llama.trainable()) {
            tensors.put(Method.key(llama, parameter), parameter.best());
        }
    }

    private static Tensor copy(Scope scope, Tensor source) {
        Tensor copy = scope.tensor(Memory.WORKSPACE, DType.F32, source.shape());
        TensorOps.copy(scope.context(), source, copy);
        return copy;
    }

    private static Tensor vector(Scope scope, float[] values) {
        return scope.tensor(Memory.WORKSPACE, DType.F32, values.length).set(values);
    }
}
