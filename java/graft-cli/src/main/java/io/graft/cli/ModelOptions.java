package io.graft.cli;

import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.Device;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Which model, and in which numbers and where it is kept and computed. */
final class ModelOptions {
    @Option(names = "--model", required = true, paramLabel = "DIR", description = "Model in Hugging Face's layout.")
    Path folder;

    @Option(names = "--dtype", paramLabel = "f32|bf16", description = "Compute type (default: ${DEFAULT-VALUE}).")
    Precision dtype = Precision.F32;

    @Option(
            names = "--device",
            paramLabel = "cpu|cuda|cuda:N",
            description = "Where it is kept and computed (default: ${DEFAULT-VALUE}).")
    Device device = Device.CPU;

    @Option(names = "--quantize", paramLabel = "none|nf4", description = Quantization.DESCRIPTION)
    Quantization quantize = Quantization.NONE;

    void check() {
        GraftCommand.existingFolder("--model", folder);
    }

    /** adapter: folder, or null; training: whether there will be gradients. */
    OpenModel open(Context context, Path adapter, boolean training) {
        return OpenModel.open(context, folder, adapter, dtype.dtype(), quantize, training);
    }

    /** Says so where an adapter was trained over other numbers of the base than these options give. */
    void remarkBase(Output out, Path adapter) {
        RunSettings.remarkBase(out, adapter, folder, "--quantize", quantize);
    }

    OpenModel open(Context context, Llama.Options options) {
        return OpenModel.open(context, folder, dtype.dtype(), options.withBase(quantize.kind()));
    }
}
