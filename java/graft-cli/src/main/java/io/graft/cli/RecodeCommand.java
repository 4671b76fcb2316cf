package io.graft.cli;

import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.io.ShardedWriter;
import io.graft.model.Recoder;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import picocli.CommandLine.Option;

/** What {@code graft sketch} and {@code graft quantize} share: from a dense model's folder to one of codes, in files. */
abstract class RecodeCommand extends GraftCommand {
    @Option(names = "--model", required = true, paramLabel = "DIR", description = "Model in Hugging Face's layout.")
    Path model;

    @Option(names = "--output", required = true, paramLabel = "DIR", description = "Where the new model goes.")
    Path output;

    @Option(names = "--dtype", paramLabel = "f32|bf16", description = "Compute type (default: ${DEFAULT-VALUE}).")
    Precision dtype = Precision.F32;

    @Option(names = "--resume", description = "Continue a run in --output that ended early; its blocks are kept.")
    boolean resume;

    @Option(names = "--overwrite", description = "Replace what --output holds.")
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
        prepare(files, config);
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

    private void prepare(ShardedWriter files, LlamaConfig config) throws IOException {
        if (Files.exists(output) && Files.isSameFile(output, model)) {
            throw new InputException("--output must not be the model's own folder, " + model);
        }
        RunSettings settings =
                settings().with("--model", model.toAbsolutePath().normalize()).with("--dtype", dtype);
        if (resume) {
            settings.expectIn(output);
            return;
        }
        if (!overwrite && (RunSettings.in(output) || Files.exists(output.resolve("config.json")))) {
            throw new InputException(
                    output + " already holds a model or a run; --resume continues a run, --overwrite replaces it");
        }
        Files.createDirectories(output);
        // why first: without configuration and index the folder is no model until all of its files are there.
        Files.deleteIfExists(output.resolve("config.json"));
        for (String name : new String[] {"model.safetensors.index.json", "model.safetensors"}) {
            Files.deleteIfExists(output.resolve(name));
        }
        for (int shard = 0; shard < Recoder.shards(config); shard++) {
            Files.deleteIfExists(files.path(shard));
        }
        settings.write(output);
    }
}
