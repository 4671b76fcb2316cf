package io.graft.cli;

import io.graft.io.Tokenizer;
import io.graft.model.Batch;
import io.graft.tensor.Context;
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

    @Mixin
    TextOptions text;

    @Override
    int execute() {
        text.check(this);
        model.check();
        existing("--data", text.data);
        try (Context context = openContext();
                Tokenizer tokenizer = Tokenizer.load(model.folder);
                OpenModel opened = model.open(context, adapter, false)) {
            List<Batch> batches = text.batches(text.examples(tokenizer), Integer.MAX_VALUE);
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
        }
        return 0;
    }
}
