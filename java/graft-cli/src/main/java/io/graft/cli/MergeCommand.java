package io.graft.cli;

import io.graft.adapter.Adapter;
import io.graft.io.AtomicFiles;
import io.graft.io.Checkpoint;
import io.graft.io.CheckpointWriter;
import io.graft.io.LlamaConfig;
import io.graft.model.Deviation;
import io.graft.model.Merger;
import io.graft.tensor.Context;
import io.graft.tensor.Weight;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code graft merge}: a base model and its adapter as one plain model. */
@Command(
        name = "merge",
        description = {
            "Write a model with an adapter folded into its weights: a plain checkpoint in Hugging Face's layout.",
            "",
            "Weights are read and written one at a time, summed in fp32 and rounded once, to the type that is written; how"
                    + " far that is from the exact sum is reported. Codes (NF4, sketches) are decoded first, and encoded"
                    + " again only with --quantize. Virtual tokens and networks that no weight can hold are refused."
        })
final class MergeCommand extends GraftCommand {
    @Option(names = "--model", required = true, paramLabel = "DIR", description = "Model in Hugging Face's layout.")
    Path model;

    @Option(names = "--adapter", required = true, paramLabel = "DIR", description = "Adapter in PEFT's layout.")
    Path adapter;

    @Option(
            names = "--base",
            paramLabel = "none|nf4",
            description = "nf4: the adapter was trained with --quantize nf4; a dense model gets the numbers of its NF4"
                    + " codes before the adapter is added (default: none).")
    Quantization base = Quantization.NONE;

    @Option(
            names = "--dtype",
            paramLabel = "f32|bf16",
            description = "Type of the weights that are written (default: that of the model's files; of what was codes,"
                    + " that of the embedding).")
    Precision dtype;

    @Option(
            names = "--quantize",
            paramLabel = "none|nf4",
            description = "nf4: write linear layers as NF4, double quantised, in the layout of bitsandbytes (default:"
                    + " none).")
    Quantization quantize = Quantization.NONE;

    @Option(
            names = "--max-shard-size",
            paramLabel = "SIZE",
            converter = ByteSize.class,
            description = "Start a new file before one has more bytes of tensors, as 5GB or 500MB (default: 50GB, as"
                    + " transformers).")
    Long fileBytes = CheckpointWriter.DEFAULT_FILE_BYTES;

    @Option(names = "--errors", description = "Also show the error of every tensor that is not written exactly.")
    boolean errors;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Where the new model goes.")
    Path folder;

    @Option(
            names = "--overwrite",
            description =
                    "Replace the model, adapter or run in --out, with all that is in its folder, once the new one is"
                            + " whole.")
    boolean overwrite;

    private String worst = "";
    private double largest;

    @Override
    protected int execute() throws IOException {
        existingFolder("--model", model);
        Method.load(existingFolder("--adapter", adapter), false);
        OutputTarget target = new OutputTarget("--out", folder);
        target.checkFolder(overwrite, false, model, adapter);
        target.makeParent();
        if (base != Quantization.NONE && ModelFiles.stored(model) != Weight.Kind.DENSE) {
            throw new InputException(model + " holds codes already; --base is for dense models");
        }
        RunSettings.remarkBase(out(), adapter, model, "--base", base);
        LlamaConfig config = LlamaConfig.read(model);
        Merger.Options options =
                new Merger.Options(dtype == null ? null : dtype.dtype(), base.kind(), quantize.kind(), fileBytes);
        Merger.Result[] result = new Merger.Result[1];
        try (Context context = openContext();
                Checkpoint checkpoint = Checkpoint.open(model)) {
            Merger merger = new Merger(context, checkpoint, config, this::load, options);
            AtomicFiles.replaceDirectory(folder, fresh -> {
                result[0] = merger.run(fresh, this::report);
                ModelFiles.copyTokenizer(model, fresh);
            });
        }
        say(result[0]);
        return 0;
    }

    private Adapter load() {
        return Method.load(adapter, false);
    }

    private void report(String name, Deviation error) {
        if (error.largest() > largest) {
            largest = error.largest();
            worst = name;
        }
        if (errors && error.largest() > 0) {
            out().say("%s: %s", name, text(error));
        }
        out().event("tensor", "name", name, "error", error.relative(), "largest_error", error.largest());
    }

    private void say(Merger.Result result) throws IOException {
        long bytes = ModelFiles.weightBytes(folder);
        out().say("%s with %s merged: %,d weights, %s", model, adapter, result.parameters(), Units.bytes(bytes));
        out().say("error against the exact sum: %s", largest == 0 ? "none" : text(result.error()) + ", in " + worst);
        out().say("saved in %s, %d %s", folder, result.files(), result.files() == 1 ? "file" : "files");
        out().event(
                        "merged",
                        "out",
                        folder.toString(),
                        "parameters",
                        result.parameters(),
                        "bytes",
                        bytes,
                        "files",
                        result.files(),
                        "error",
                        result.error().relative(),
                        "largest_error",
                        result.error().largest(),
                        "worst",
                        worst);
    }

    private static String text(Deviation error) {
        return String.format(
                Locale.ROOT, "%.3g of the weights' length, at most %.3g", error.relative(), error.largest());
    }
}
