package io.graft.cli;

import io.graft.io.TextDataset;
import io.graft.io.Tokenizer;
import io.graft.model.Batch;
import io.graft.train.Example;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Option;

/** Which text, and how it is cut into batches. */
final class TextOptions {
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

    void check(GraftCommand command) {
        command.positive("--batch", batch);
        if (length < 2) {
            throw command.usage("--length must be at least 2, got " + length);
        }
    }

    /** The blocks of the text. */
    List<Example> examples(Tokenizer tokenizer) {
        return examples(tokenizer, data);
    }

    /** The blocks of another text, of the same length. */
    List<Example> examples(Tokenizer tokenizer, Path text) {
        return TextExamples.of(TextDataset.read(tokenizer, length, text));
    }

    /** These blocks in their order, at most so many batches. */
    List<Batch> batches(List<Example> examples, int most) {
        return TextExamples.batches(examples, batch, most);
    }
}
