package io.graft.cli;

import io.graft.io.ChatTemplate;
import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.io.TextDataset;
import io.graft.io.Tokenizer;
import io.graft.model.Recoder;
import io.graft.model.Sketcher;
import io.graft.tensor.Scope;
import io.graft.tensor.WeightForm;
import io.graft.train.Example;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code graft sketch}: the base of SketchTune, made with calibration text. */
@Command(
        name = "sketch",
        description = {
            "Store a model's linear layers as sketches: 2 to 4 bits choose each weight out of a table of its row.",
            "",
            "The tables are made so that the layers' outputs over calibration text change little, and `graft finetune"
                    + " --method sketchtune` trains them. The other commands read the new folder as any model."
        },
        footer = {"", "Ctrl-C ends after the current layer; --resume goes on behind the last whole block."})
final class SketchCommand extends RecodeCommand {
    @Option(names = "--bits", paramLabel = "2|3|4", description = "Bits of a code (default: ${DEFAULT-VALUE}).")
    int bits = 4;

    @Option(names = "--groups", paramLabel = "N", description = "Tables of each row (default: ${DEFAULT-VALUE}).")
    int groups = 4;

    @Option(
            names = "--calibration",
            required = true,
            paramLabel = "FILE|DIR",
            description = "Text like that of the model's use, as --data of `graft finetune`.")
    Path calibration;

    @Option(
            names = "--samples",
            paramLabel = "N",
            description = "Sequences of the text, spread evenly over it (default: ${DEFAULT-VALUE}).")
    int samples = 128;

    @Option(names = "--length", paramLabel = "N", description = "Tokens of a sequence (default: ${DEFAULT-VALUE}).")
    int length = 256;

    @Option(
            names = "--batch",
            paramLabel = "N",
            description = "Sequences that are computed at once (default: ${DEFAULT-VALUE}).")
    int batch = 4;

    @Option(
            names = "--damping",
            paramLabel = "X",
            description = "Added to the diagonal of the inputs' moments, of its mean (default: ${DEFAULT-VALUE}).")
    double damping = 0.1;

    @Option(
            names = "--exponent",
            paramLabel = "X",
            description = "How much the tables favour important columns; 0: not at all (default: ${DEFAULT-VALUE}).")
    double exponent = 4;

    @Override
    void check() {
        existing("--calibration", calibration);
        positive("--groups", groups);
        positive("--samples", samples);
        positive("--batch", batch);
        notNegative("--damping", damping);
        if (bits < 2 || bits > 4) {
            throw usage("--bits must be 2, 3 or 4, got " + bits);
        }
        if (length < 2) {
            throw usage("--length must be at least 2, got " + length);
        }
        if (!(exponent >= 0 && exponent <= 16)) {
            throw usage("--exponent must be in 0 to 16, got " + exponent);
        }
        LlamaConfig config = LlamaConfig.read(model);
        for (int inputs :
                new int[] {config.hiddenSize(), config.heads() * config.headDim(), config.intermediateSize()}) {
            if (inputs % groups != 0) {
                throw usage("--groups must divide the inputs of every layer: " + groups + " does not divide " + inputs);
            }
        }
    }

    @Override
    RunSettings settings() {
        return new RunSettings()
                .with("--bits", bits)
                .with("--groups", groups)
                .with("--calibration", calibration.toAbsolutePath().normalize())
                .with("--samples", samples)
                .with("--length", length)
                .with("--damping", damping)
                .with("--exponent", exponent);
    }

    @Override
    Recoder recoder(Scope scope, Checkpoint checkpoint, LlamaConfig config) {
        Sketcher.Settings settings =
                new Sketcher.Settings(WeightForm.sketch(bits, groups), damping, exponent, true, batch);
        return new Sketcher(scope, checkpoint, config, dtype.dtype(), settings, text());
    }

    private int[][] text() {
        try (Tokenizer tokenizer = Tokenizer.load(model)) {
            List<Example> blocks =
                    TextExamples.of(TextDataset.read(tokenizer, ChatTemplate.find(model), length, calibration));
            int count = Math.min(samples, blocks.size());
            if (count == 0) {
                throw new InputException("--calibration gives no whole block of " + length + " tokens");
            }
            if (count < samples) {
                out().note("--calibration has only %d blocks of %d tokens", count, length);
            }
            int[][] text = new int[count][];
            for (int i = 0; i < count; i++) {
                text[i] = blocks.get((int) ((long) i * blocks.size() / count)).ids();
            }
            return text;
        }
    }
}
