package io.graft.cli;

import io.graft.io.Tokenizer;
import io.graft.model.Batch;
import io.graft.tensor.Context;
import io.graft.train.Laplace;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code graft laplace}: how sure a trained adapter's numbers are, in a file beside them. */
@Command(
        name = "laplace",
        description = {
            "Put a posterior around a trained adapter, a Gaussian for each of its numbers, out of examples of the text that"
                    + " it was trained on (after Laplace-LoRA).",
            "",
            "`graft eval --draws N` then predicts by the mean of N draws."
        })
final class LaplaceCommand extends GraftCommand {
    @Mixin
    ModelOptions model;

    @Option(
            names = "--adapter",
            required = true,
            paramLabel = "DIR",
            description = "The adapter, whose folder gets " + Laplace.FILE + ".")
    Path adapter;

    @Mixin
    TextOptions text;

    @Option(names = "--samples", paramLabel = "N", description = "Examples that are looked at (default: all).")
    Integer samples;

    @Override
    protected int execute() {
        text.check(this);
        positive("--samples", samples);
        model.check();
        existing("--data", text.data);
        try (Context context = openContext(model.device);
                Tokenizer tokenizer = Tokenizer.load(model.folder);
                OpenModel opened = model.open(context, adapter, true)) {
            List<Batch> rows = TextExamples.batches(
                    text.examples(this, tokenizer, model.folder), 1, samples == null ? Integer.MAX_VALUE : samples);
            Laplace posterior = Laplace.fit(opened.llama(), rows.size(), rows::get);
            posterior.write(adapter);
            out().say(
                            "posterior of %s numbers from %d examples: prior precision %.4g, mean deviation %.4g; saved in %s",
                            Units.count(opened.trainedParameters()),
                            rows.size(),
                            posterior.prior(),
                            posterior.meanDeviation(),
                            adapter.resolve(Laplace.FILE));
            out().event(
                            "posterior",
                            "examples",
                            rows.size(),
                            "parameters",
                            opened.trainedParameters(),
                            "prior_precision",
                            posterior.prior(),
                            "mean_deviation",
                            posterior.meanDeviation(),
                            "file",
                            adapter.resolve(Laplace.FILE).toString());
        }
        return 0;
    }
}
