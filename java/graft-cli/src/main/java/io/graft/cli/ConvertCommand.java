package io.graft.cli;

import io.graft.io.AtomicFiles;
import io.graft.io.Checkpoint;
import io.graft.io.Conversion;
import io.graft.io.LlamaConfig;
import io.graft.io.TorchFile;
import io.graft.tensor.Context;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code graft convert}: tensors out of files that only Python reads otherwise, without running what those say. */
@Command(
        name = "convert",
        description = {
            "Write the tensors of a torch.save file (.pt, .bin, .pkl) as safetensors.",
            "",
            "The file's pickle is read and not run: what is no tensor, dictionary, list, text or number is refused by name. With"
                    + " --model the tensors replace those of a model: the published sketches of SketchTune take the place"
                    + " of dense layers, and its trained tables that of the tables."
        })
final class ConvertCommand extends GraftCommand {
    @Option(names = "--file", required = true, paramLabel = "FILE", description = "What torch.save wrote.")
    Path file;

    @Option(names = "--model", paramLabel = "DIR", description = "Model in Hugging Face's layout that they belong to.")
    Path model;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Where the new folder goes.")
    Path folder;

    @Override
    protected int execute() throws IOException {
        existing("--file", file);
        if (model != null) {
            existingFolder("--model", model);
        }
        if (Files.exists(folder)) {
            throw new InputException("--out is there already: " + folder);
        }
        try (Context context = openContext();
                TorchFile source = TorchFile.open(file);
                Checkpoint checkpoint = model == null ? null : Checkpoint.open(model)) {
            LlamaConfig config = model == null ? null : LlamaConfig.read(model);
            Conversion conversion = new Conversion(source, checkpoint);
            Files.createDirectories(folder.toAbsolutePath().getParent());
            AtomicFiles.replaceDirectory(folder, fresh -> {
                conversion.write(context, fresh, config);
                if (model != null) {
                    ModelFiles.copyTokenizer(model, fresh);
                }
            });
            long bytes = ModelFiles.weightBytes(folder);
            out().say("%d tensors of %s, %s in %s", source.names().size(), file, Units.bytes(bytes), folder);
            out().event(
                            "converted",
                            "out",
                            folder.toString(),
                            "tensors",
                            source.names().size(),
                            "bytes",
                            bytes);
        }
        return 0;
    }
}
