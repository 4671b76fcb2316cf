package io.graft.cli;

import io.graft.binding.GraftUnsupportedException;
import io.graft.cli.compare.Comparison;
import io.graft.cli.compare.Field;
import io.graft.cli.compare.Report;
import io.graft.cli.compare.Result;
import io.graft.io.LlamaConfig;
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
        footer = {
            "",
            "Ctrl-C ends the training after the current round, the first at the earliest, and still gives the table;"
                    + " before the training it gives none."
        })
final class CompareCommand extends GraftCommand {
    /** Of the data, where no other text is named to measure the loss on. */
    private static final int HELD_OUT = 10;

    private static final int VALIDATION_BATCHES = 16;

    @Mixin
    ModelOptions model;

    @Mixin
    TextOptions text;

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

    @Option(names = "--out", paramLabel = "DIR", description = "Where the report goes (default: ${DEFAULT-VALUE}).")
    Path folder = Path.of("graft-compare");

    @Option(names = "--seed", paramLabel = "N", description = "Of data order, weights and dropout (default: 0).")
    long seed;

    @Override
    protected int execute() throws IOException {
        List<Method> methods = check();
        methodOptions.withBaseModel(model.folder).withSteps(steps);
        new OutputTarget("--out", folder).make();
        Interruption.install();
        try (Tokenizer tokenizer = Tokenizer.load(model.folder);
                Field field = new Field(() -> openContext(model.device), model::open, seed)) {
            List<Example> examples = text.examples(this, tokenizer, model.folder);
            List<Example> held =
                    evalData == null ? heldOut(examples) : text.examples(this, tokenizer, model.folder, evalData);
            List<Example> training = evalData == null ? examples.subList(0, examples.size() - held.size()) : examples;
            List<Batch> validation = text.batches(held, VALIDATION_BATCHES);
            for (Method method : methods) {
                ExampleBatches source = new ExampleBatches(training, text.batch, text.length, text.multiple(), seed);
                add(field, method, source);
            }
            out().note(
                            "%d methods on %s, %d steps each in turns",
                            field.contenders().size(), model.folder, steps);
            field.contenders().forEach(contender -> contender.model().remark(out()));
            if (Interruption.requested()) {
                out().note("interrupted before the training: there is nothing to compare");
                return Interruption.STATUS;
            }
            Comparison comparison = new Comparison(out(), field.contenders(), validation, Interruption::requested);
            report(comparison.run(steps), training.size());
        }
        return Interruption.requested() ? Interruption.STATUS : 0;
    }

    private List<Method> check() {
        positive("--steps", steps);
        text.check(this);
        model.check();
        existing("--data", text.data);
        if (evalData != null) {
            existing("--eval-data", evalData);
        }
        try {
            return names == null
                    ? Method.all(ModelFiles.stored(model.folder), model.quantize)
                    : Arrays.stream(names)
                            .map(String::strip)
                            .map(Method::named)
                            .distinct()
                            .toList();
        } catch (IllegalArgumentException unknown) {
            throw usage("--methods: " + unknown.getMessage());
        }
    }

    /** Adds a method; one that the device lacks something for is left out, unless it was named. */
    private void add(Field field, Method method, ExampleBatches source) {
        Plan plan = new Plan(model, methodOptions.withSteps(2), new OptimizerOptions(), false, 1, 2);
        String missing = plan.missing(LlamaConfig.read(model.folder), method);
        methodOptions.withSteps(steps);
        if (missing == null) {
            try {
                field.add(method, methodOptions, source, (long) text.batch * text.length);
                return;
            } catch (GraftUnsupportedException later) {
                missing = later.getMessage();
            }
        }
        if (names != null) {
            throw plan.refusal(method, missing);
        }
        out().note("%s is left out: %s", method.name(), missing);
    }

    private List<Example> heldOut(List<Example> examples) {
        int count = Math.max(1, examples.size() / HELD_OUT);
        if (examples.size() < 2) {
            throw new InputException("--data gives " + examples.size() + " block of " + text.length
                    + " tokens: too little to keep some for measuring; name --eval-data or a smaller --length");
        }
        return examples.subList(examples.size() - count, examples.size());
    }

    private void report(List<Result> results, int examples) throws IOException {
        new Report(out(), folder, "Graft compare")
                .fact("model", model.folder.toString())
                .fact("compute type", model.dtype.toString())
                .fact("device", model.device.toString())
                .fact("base", model.quantize.toString())
                .fact("text", text.data + ", " + examples + " blocks of " + text.length + " tokens")
                .fact("batch", text.batch + " rows of " + text.length + " tokens")
                .losses("losses.png", "Training losses", results)
                .write(results, results);
    }
}
