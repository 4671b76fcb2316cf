package io.graft.benchmarks;

import io.graft.adapter.Lora;
import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.PageCache;
import io.graft.benchmarks.measure.TemporaryFolder;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.WholeModel;
import io.graft.benchmarks.measure.Work;
import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Device;
import io.graft.tensor.Scope;
import io.graft.tensor.Weight;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Locale;
import java.util.function.Supplier;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.TearDown;

/**
 * Loading a model whose file is in the page cache, or on the disk alone, into memory that is new each time. What it is held
 * against, as {@code frozen}, is a plain read of the same bytes: by one thread, from first to last, into one buffer that is used
 * again. The disk's file is cold for both: each drops it out of the page cache before it starts.
 */
public class LoadBenchmark extends TrialBenchmark {
    private static final int BUFFER_BYTES = 16 << 20;
    private static final long SEED = 1;

    @Param({"30m", "150m", "1b"})
    public String size;

    /** Of the weights in the file. */
    @Param({"bf16", "f32"})
    public String dtype;

    /** Whether the file is in the page cache: {@code warm}, or {@code cold}, not in it. */
    @Param({"warm", "cold"})
    public String cache;

    private TemporaryFolder folder;
    private float[] row;

    @Override
    protected void contenders(Trial trial) {
        trial.graft(Trial.FROZEN, this::read);
        load(trial, "load", type(), Llama.Options::inference);
        if (type() == DType.F32) {
            load(trial, "load as bf16", DType.BF16, Llama.Options::inference);
        }
        load(trial, "load for lora", DType.BF16, () -> Llama.Options.training(lora()));
        load(trial, "load as nf4", DType.BF16, () -> Llama.Options.inference().withBase(Weight.Kind.NF4));
    }

    @Override
    protected final DType type() {
        return DType.valueOf(dtype.toUpperCase(Locale.ROOT));
    }

    /** why: not as an override of the end of all benchmarks, which JMH would call twice. */
    @TearDown
    public void delete() {
        if (folder != null) {
            folder.close();
        }
    }

    private LlamaConfig config() {
        return WholeModel.of(size).config().withDtype(type());
    }

    private double fileBytes() {
        return (double) config().parameters() * type().bytes();
    }

    /** The model in a file, made when it is first asked for. */
    private Path file() {
        if (folder == null) {
            folder = new TemporaryFolder();
            try (Context context = Context.cpu(threads());
                    Scope scope = context.scope();
                    Llama made = Llama.create(scope, config(), type(), SEED, Llama.Options.inference())) {
                made.save(folder.path());
                row = row(made);
            }
        }
        return folder.path();
    }

    private static float[] row(Llama model) {
        return model.embedding().value().rows(1, 2).floats();
    }

    private Work read(Inputs inputs) {
        Work work = new Work(() -> {}).cost(0, fileBytes());
        if (inputs.planned()) {
            return work;
        }
        Path path = weights();
        ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES);
        return cached(new Work(() -> readAll(path, buffer)).cost(0, fileBytes()));
    }

    private Path weights() {
        return file().resolve("model.safetensors");
    }

    private Work cached(Work work) {
        return switch (cache) {
            case "warm" -> work;
            case "cold" -> {
                Path path = weights();
                yield work.before(() -> PageCache.drop(path));
            }
            default -> throw new IllegalArgumentException("cache is " + cache + ", must be warm or cold");
        };
    }

    private static void readAll(Path path, ByteBuffer buffer) {
        try (FileChannel channel = FileChannel.open(path)) {
            while (channel.read(buffer.clear()) >= 0) {}
        } catch (IOException failure) {
            throw new UncheckedIOException("cannot read " + path, failure);
        }
    }

    private static Lora lora() {
        return Lora.create(
                PeftLoraConfig.builder()
                        .targets(LlamaConfig.PROJECTIONS.toArray(String[]::new))
                        .build(),
                SEED);
    }

    private void load(Trial trial, String name, DType compute, Supplier<Llama.Options> options) {
        trial.variant(name, Trial.FROZEN, inputs -> {
            if (inputs.planned()) {
                return new Work(() -> create(inputs, compute, options.get())).cost(0, fileBytes());
            }
            Loader loader = new Loader(file(), inputs.context().device(), compute, options);
            return cached(new Work(loader)
                    .cost(0, fileBytes())
                    .peak(() -> loader.peak)
                    .unless(() -> loader.fault(row)));
        });
    }

    private void create(Inputs inputs, DType compute, Llama.Options options) {
        try (Scope scope = inputs.scope().scope();
                Llama made = Llama.create(scope, config(), compute, SEED, options)) {
            made.release();
        }
    }

    /** Loads the model in a context of its own, and drops it. */
    private final class Loader implements Runnable {
        private final Path path;
        private final Device device;
        private final DType compute;
        private final Supplier<Llama.Options> options;
        private long peak;
        private float[] found;

        Loader(Path path, Device device, DType compute, Supplier<Llama.Options> options) {
            this.path = path;
            this.device = device;
            this.compute = compute;
            this.options = options;
        }

        @Override
        public void run() {
            try (Context context = device.isCpu() ? Context.cpu(threads()) : Context.on(device);
                    Scope scope = context.scope();
                    Checkpoint checkpoint = Checkpoint.open(path);
                    Llama model = Llama.load(scope, checkpoint, config(), compute, options.get())) {
                found = row(model);
                peak = context.peakMemory();
            }
        }

        /** Null when the last model had the file's numbers. */
        String fault(float[] expected) {
            for (int i = 0; i < expected.length; i++) {
                // why: a bf16 has eight digits.
                if (!(Math.abs(found[i] - expected[i]) <= Math.abs(expected[i]) / 256)) {
                    return "number " + i + " of row 1 is " + found[i] + " and not " + expected[i];
                }
            }
            return null;
        }
    }
}
