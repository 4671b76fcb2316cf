package io.graft.cli;

import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.io.ShardedWriter;
import io.graft.model.Recoder;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import picocli.CommandLine.Option;

/** What {@code graft sketch} and {@code graft quantize} share: from a dense model's folder to one of codes, in files. */
abstract class RecodeCommand extends GraftCommand {
    @Option(names = "--model", required = true, paramLabel = "DIR", description = "Model in Hugging Face's layout.")
    Path model;

    @Option(
            names = {"--out", "--output"},
            required = true,
            paramLabel = "DIR",
            description = "Where the new model goes.")
    Path output;

    @Option(names = "--dtype", paramLabel = "f32|bf16", description = "Compute type (default: ${DEFAULT-VALUE}).")
    Precision dtype = Precision.F32;

    @Option(names = "--resume", description = "Continue a run in --out that ended early; its blocks are kept.")
    boolean resume;

    @Option(
            names = "--overwrite",
            description = "Replace the model, adapter or run in --out, with all that is in its folder.")
    boolean overwrite;

    /** Complains about options; nothing is written yet. */
    abstract void check();

    /** The options that a resumed run must have, too. */
    abstract RunSettings settings();

    abstract Recoder recoder(Scope scope, Checkpoint checkpoint, LlamaConfig config) throws IOException;

    @Override
    protected final int execute() throws IOException {
        existingFolder("--model", model);
        check();
        if (resume && overwrite) {
            throw usage("--resume and --overwrite exclude each other");
        }
        LlamaConfig config = LlamaConfig.read(model);
        int layers = config.projections().size();
        ShardedWriter files = new ShardedWriter(output, Recoder.shards(config));
        prepare();
        Interruption.install();
        boolean whole;
        try (Context context = openContext();
                Scope scope = context.scope();
                Checkpoint checkpoint = Checkpoint.open(model);
                Progress progress = new Progress(out(), "layers", (long) layers * config.layers())) {
            Recoder recoder = recoder(scope, checkpoint, config);
            int[] done = {made(files, config) * layers};
            long start = System.nanoTime();
            int before = done[0];
            whole = recoder.run(files, (module, error) -> {
                done[0]++;
                double seconds = (System.nanoTime() - start) * 1e-9;
                report(progress, module, error, done[0], (done[0] - before) / seconds, context.peakMemory());
                return !Interruption.requested();
            });
        }
        if (!whole) {
            out().note("interrupted; --resume continues behind the last whole block");
            return Interruption.STATUS;
        }
        ModelFiles.copyTokenizer(model, output);
        out().say("%s: %s", output, Units.bytes(ModelFiles.weightBytes(output)));
        out().event("done", "output", output.toString(), "bytes", ModelFiles.weightBytes(output));
        return 0;
    }

    private void report(Progress progress, String module, double error, int done, double rate, long memory) {
        String of = Double.isNaN(error) ? "" : String.format(Locale.ROOT, ", output error %.3g", error);
        progress.update(
                done, String.format(Locale.ROOT, "%s%s, %.2g layers/s, %s", module, of, rate, Units.bytes(memory)));
        out().event("layer", "module", module, "error", error, "peak_memory_bytes", memory);
    }

    private static int made(ShardedWriter files, LlamaConfig config) {
        int made = 0;
        while (made < config.layers() && files.has(made + 1)) {
            made++;
        }
        return made;
    }

    private void prepare() throws IOException {
        RunSettings settings =
                settings().with("--model", model.toAbsolutePath().normalize()).with("--dtype", dtype);
        OutputTarget target = new OutputTarget("--out", output);
        if (resume) {
            settings.expectIn(output);
            target.make();
            return;
        }
        target.checkFolder(overwrite, true, model);
        target.make().clear();
        settings.write(output);
    }
}
