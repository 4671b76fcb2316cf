package io.graft.cli;

import io.graft.io.Tokenizer;
import io.graft.model.Batch;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.train.Laplace;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code graft eval}: mean loss and perplexity of a model on text. */
@Command(name = "eval", description = "Measure loss and perplexity on text.")
final class EvalCommand extends GraftCommand {
    @Mixin
    ModelOptions model;

    @Option(names = "--adapter", paramLabel = "DIR", description = "Adapter in PEFT's layout.")
    Path adapter;

    @Option(
            names = "--draws",
            paramLabel = "N",
            description =
                    "Also predict by the mean of N draws from the adapter's posterior, which `graft laplace` makes.")
    Integer draws;

    @Mixin
    TextOptions text;

    @Option(
            names = "--adapter-drop",
            paramLabel = "N",
            description = "AdapterDrop: without the adapter of the lowest N blocks (default: 0).")
    int adapterDrop;

    @Override
    protected int execute() {
        text.check(this);
        positive("--draws", draws);
        if (draws != null && adapter == null) {
            throw usage("--draws needs --adapter");
        }
        model.check();
        existing("--data", text.data);
        if (draws != null && !Files.exists(adapter.resolve(Laplace.FILE))) {
            throw new InputException("--draws: " + adapter + " has no posterior; `graft laplace` makes one");
        }
        try (Context context = openContext(model.device);
                Tokenizer tokenizer = Tokenizer.load(model.folder);
                OpenModel opened = model.open(context, adapter, false)) {
            opened.llama().leaveOutAdapters(adapterDrop);
            if (adapter != null) {
                model.remarkBase(out(), adapter);
            }
            List<Batch> batches = text.batches(text.examples(this, tokenizer, model.folder), Integer.MAX_VALUE);
            Evaluation result = Evaluation.of(out(), opened.llama(), batches);
            out().say(
                            "loss %.4f, perplexity %.2f, %s tokens, %.0f tokens/s",
                            result.loss(), result.perplexity(), Units.count(result.tokens()), result.tokensPerSecond());
            out().event(
                            "eval",
                            "loss",
                            result.loss(),
                            "perplexity",
                            result.perplexity(),
                            "tokens",
                            result.tokens(),
                            "tokens_per_second",
                            result.tokensPerSecond(),
                            "peak_memory_bytes",
                            context.peakMemory());
            if (draws != null) {
                draws(opened.llama(), batches);
            }
        }
        return 0;
    }

    private void draws(Llama llama, List<Batch> batches) {
        if (llama.adapter().prompt() != null) {
            throw new InputException("--draws: an adapter of virtual tokens has no posterior yet");
        }
        Laplace posterior = Laplace.read(llama, adapter);
        for (int count : new int[] {0, draws}) {
            Predictive result = Predictive.of(llama, batches, posterior, count);
            out().say(
                            "%s: loss %.4f, accuracy %.1f %%, calibration error %.1f %%",
                            count == 0 ? "as trained" : "mean of " + count + " draws",
                            result.loss(),
                            100 * result.accuracy(),
                            100 * result.calibration());
            out().event(
                            "predictive",
                            "draws",
                            count,
                            "loss",
                            result.loss(),
                            "accuracy",
                            result.accuracy(),
                            "calibration_error",
                            result.calibration(),
                            "targets",
                            result.targets());
        }
    }
}
