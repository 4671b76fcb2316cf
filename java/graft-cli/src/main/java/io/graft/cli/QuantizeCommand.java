package io.graft.cli;

import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.model.Nf4Recoder;
import io.graft.model.Recoder;
import io.graft.tensor.Scope;
import picocli.CommandLine.Command;

/** {@code graft quantize}: the codes that {@code --quantize nf4} makes, in files. */
@Command(
        name = "quantize",
        description = {
            "Store a model's linear layers as NF4, double quantised, in the layout of bitsandbytes.",
            "",
            "The other commands read the new folder as any model; its numbers are those of --quantize nf4."
        },
        footer = {"", "Ctrl-C ends after the current layer; --resume goes on behind the last whole block."})
final class QuantizeCommand extends RecodeCommand {
    @Override
    void check() {}

    @Override
    RunSettings settings() {
        return new RunSettings().with("--quantize", Quantization.NF4);
    }

    @Override
    Recoder recoder(Scope scope, Checkpoint checkpoint, LlamaConfig config) {
        return new Nf4Recoder(scope, checkpoint, config, dtype.dtype());
    }
}
