package io.graft.cli;

import io.graft.io.TextDataset;
import io.graft.io.Tokenizer;
import io.graft.tensor.Context;
import io.graft.train.Example;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code graft eval}: mean loss and perplexity of a model on text. */
@Command(name = "eval", description = "Measure loss and perplexity on text.")
final class EvalCommand extends GraftCommand {
    @Option(names = "--model", required = true, paramLabel = "DIR", description = "Model in Hugging Face's layout.")
    Path model;

    @Option(names = "--adapter", paramLabel = "DIR", description = "Adapter in PEFT's layout.")
    Path adapter;

    @Option(
            names = "--data",
            required = true,
            paramLabel = "FILE|DIR",
            description = "Text files, or .jsonl with \"text\" or \"prompt\" and \"completion\".")
    Path data;

    @Option(names = "--batch", paramLabel = "N", description = "Rows of a batch (default: ${DEFAULT-VALUE}).")
    int batch = 4;

    @Option(names = "--length", paramLabel = "N", description = "Tokens of a row (default: ${DEFAULT-VALUE}).")
    int length = 256;

    @Option(names = "--dtype", paramLabel = "f32|bf16", description = "Compute type (default: ${DEFAULT-VALUE}).")
    Precision dtype = Precision.F32;

    @Option(names = "--quantize", paramLabel = "none|nf4", description = Quantization.DESCRIPTION)
    Quantization quantize = Quantization.NONE;

    @Override
    int execute() {
        positive("--batch", batch);
        if (length < 2) {
            throw usage("--length must be at least 2, got " + length);
        }
        existingFolder("--model", model);
        existing("--data", data);
        try (Context context = openContext();
                Tokenizer tokenizer = Tokenizer.load(model);
                OpenModel opened = OpenModel.open(context, model, adapter, dtype.dtype(), quantize, false)) {
            List<Example> examples = TextExamples.of(TextDataset.read(tokenizer, length, data));
            Evaluation result =
                    Evaluation.of(out(), opened.llama(), TextExamples.batches(examples, batch, Integer.MAX_VALUE));
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
