package io.graft.cli;

import io.graft.adapter.Adapter;
import io.graft.io.Checkpoint;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Weight;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code graft merge}: a base model and its adapter as one plain model. */
@Command(
        name = "merge",
        description = {
            "Write a model with an adapter folded into its weights: a plain checkpoint in Hugging Face's layout.",
            "",
            "Weights are summed in fp32 and rounded once, to the type that is written. The base must be dense: an adapter that was trained"
                    + " over its codes is merged over the checkpoint that the codes were made of, and then differs from"
                    + " what was trained by the codes' error. Virtual tokens and networks that no weight can hold are"
                    + " refused."
        })
final class MergeCommand extends GraftCommand {
    @Option(names = "--model", required = true, paramLabel = "DIR", description = "Model in Hugging Face's layout.")
    Path model;

    @Option(names = "--adapter", required = true, paramLabel = "DIR", description = "Adapter in PEFT's layout.")
    Path adapter;

    @Option(
            names = "--dtype",
            paramLabel = "f32|bf16",
            description = "Type of the weights that are written (default: that of the model's files).")
    Precision dtype;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Where the new model goes.")
    Path folder;

    @Option(names = "--overwrite", description = "Replace the model that --out holds.")
    boolean overwrite;

    @Override
    int execute() throws IOException {
        existingFolder("--model", model);
        Adapter loaded = Method.load(existingFolder("--adapter", adapter), false);
        for (Path source : new Path[] {model, adapter}) {
            if (Files.exists(folder) && Files.isSameFile(folder, source)) {
                throw new InputException("--out must not be a folder that is read, " + source);
            }
        }
        if (!overwrite && Files.exists(folder.resolve("config.json"))) {
            throw new InputException(folder + " already holds a model; --overwrite replaces it");
        }
        if (ModelFiles.stored(model) != Weight.Kind.DENSE) {
            throw new InputException(model + " holds codes; merge over the dense checkpoint that they were made of");
        }
        if (!loaded.mergeable()) {
            throw new InputException(adapter + " cannot be merged: no weight can hold what it does");
        }
        long weights;
        try (Context context = openContext();
                OpenModel opened = OpenModel.open(context, model, written(), Llama.Options.training(loaded))) {
            opened.llama().merge();
            clear();
            opened.llama().save(folder);
            weights = opened.parameters();
        }
        ModelFiles.copyTokenizer(model, folder);
        long bytes = Files.size(folder.resolve("model.safetensors"));
        out().say("%s with %s merged: %,d weights, %s", model, adapter, weights, Units.bytes(bytes));
        out().say("saved in %s", folder);
        out().event("merged", "out", folder.toString(), "parameters", weights, "bytes", bytes);
        return 0;
    }

    private DType written() {
        if (dtype != null) {
            return dtype.dtype();
        }
        try (Checkpoint checkpoint = Checkpoint.open(model)) {
            return checkpoint.names().stream()
                    .filter(name -> checkpoint.shape(name).length == 2)
                    .findFirst()
                    .map(checkpoint::dtype)
                    .orElseThrow(() -> new InputException(model + " holds no matrix"));
        }
    }

    /** The files that would make an older model out of parts of two. */
    private void clear() throws IOException {
        Files.deleteIfExists(folder.resolve("config.json"));
        Files.deleteIfExists(folder.resolve("model.safetensors.index.json"));
    }
}
