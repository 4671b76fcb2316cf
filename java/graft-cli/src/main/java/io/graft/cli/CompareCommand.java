package io.graft.cli;

import io.graft.cli.compare.Comparison;
import io.graft.cli.compare.Field;
import io.graft.cli.compare.Report;
import io.graft.cli.compare.Result;
import io.graft.io.TextDataset;
import io.graft.io.Tokenizer;
import io.graft.model.Batch;
import io.graft.train.Example;
import io.graft.train.ExampleBatches;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code graft compare}: one model and one text, several methods in turns, one table. */
@Command(
        name = "compare",
        description = {
            "Train copies of one model by several methods on the same batches, and compare memory, time and loss.",
            "",
            "The methods take turns of a few steps each, so that a machine whose speed changes is as fast for all."
        },
        footer = {"", "Ctrl-C ends the training after the current round and still gives the table."})
final class CompareCommand extends GraftCommand {
    /** Of the data, where no other text is named to measure the loss on. */
    private static final int HELD_OUT = 10;

    private static final int VALIDATION_BATCHES = 16;

    @Option(names = "--model", required = true, paramLabel = "DIR", description = "Model in Hugging Face's layout.")
    Path model;

    @Option(
            names = "--data",
            required = true,
            paramLabel = "FILE|DIR",
            description = "Text files, or .jsonl with \"text\" or \"prompt\" and \"completion\".")
    Path data;

    @Option(
            names = "--eval-data",
            paramLabel = "FILE|DIR",
            description = "Text to measure the loss on (default: the last tenth of --data, which is not trained on).")
    Path evalData;

    @Option(
            names = "--methods",
            paramLabel = "NAME",
            split = ",",
            description = "Which methods (default: all; `graft info` lists them).")
    String[] names;

    @Mixin
    MethodOptions methodOptions;

    @Option(names = "--steps", paramLabel = "N", description = "Steps of each method (default: ${DEFAULT-VALUE}).")
    long steps = 100;

    @Option(names = "--batch", paramLabel = "N", description = "Rows of a batch (default: ${DEFAULT-VALUE}).")
    int batch = 4;

    @Option(names = "--length", paramLabel = "N", description = "Tokens of a row (default: ${DEFAULT-VALUE}).")
    int length = 256;

    @Option(names = "--dtype", paramLabel = "f32|bf16", description = "Compute type (default: ${DEFAULT-VALUE}).")
    Precision dtype = Precision.F32;

    @Option(names = "--out", paramLabel = "DIR", description = "Where the report goes (default: ${DEFAULT-VALUE}).")
    Path folder = Path.of("graft-compare");

    @Option(names = "--seed", paramLabel = "N", description = "Of data order, weights and dropout (default: 0).")
    long seed;

    @Override
    int execute() throws IOException {
        List<Method> methods = check();
        methodOptions.withBaseModel(model);
        try (Tokenizer tokenizer = Tokenizer.load(model);
                Field field = new Field(this::openContext, model, dtype, seed)) {
            List<Example> examples = TextExamples.of(TextDataset.read(tokenizer, length, data));
            List<Example> held = evalData == null ? heldOut(examples) : read(tokenizer, evalData);
            List<Example> training = evalData == null ? examples.subList(0, examples.size() - held.size()) : examples;
            List<Batch> validation = TextExamples.batches(held, batch, VALIDATION_BATCHES);
            for (Method method : methods) {
                ExampleBatches source = new ExampleBatches(training, batch, length, length, seed);
                field.add(method, methodOptions, source, (long) batch * length);
            }
            out().note("%d methods on %s, %d steps each in turns", methods.size(), model, steps);
            Interruption.install();
            Comparison comparison = new Comparison(out(), field.contenders(), validation, Interruption::requested);
            report(comparison.run(steps), training.size());
        }
        return Interruption.requested() ? FinetuneRun.INTERRUPTED : 0;
    }

    private List<Method> check() {
        positive("--steps", steps);
        positive("--batch", batch);
        if (length < 2) {
            throw usage("--length must be at least 2, got " + length);
        }
        existingFolder("--model", model);
        existing("--data", data);
        if (evalData != null) {
            existing("--eval-data", evalData);
        }
        try {
            return names == null
                    ? Method.all()
                    : Arrays.stream(names)
                            .map(String::strip)
                            .map(Method::named)
                            .distinct()
                            .toList();
        } catch (IllegalArgumentException unknown) {
            throw usage("--methods: " + unknown.getMessage());
        }
    }

    private List<Example> read(Tokenizer tokenizer, Path text) throws IOException {
        return TextExamples.of(TextDataset.read(tokenizer, length, text));
    }

    private List<Example> heldOut(List<Example> examples) {
        int count = Math.max(1, examples.size() / HELD_OUT);
        if (examples.size() < 2) {
            throw new InputException("--data gives " + examples.size() + " block of " + length
                    + " tokens: too little to keep some for measuring; name --eval-data or a smaller --length");
        }
        return examples.subList(examples.size() - count, examples.size());
    }

    private void report(List<Result> results, int examples) throws IOException {
        new Report(out(), folder, "Graft compare")
                .fact("model", model.toString())
                .fact("compute type", dtype.toString())
                .fact("text", data + ", " + examples + " blocks of " + length + " tokens")
                .fact("batch", batch + " rows of " + length + " tokens")
                .losses("losses.png", "Training losses", results)
                .write(results, results);
    }
}
