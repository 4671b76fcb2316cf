package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.io.Checkpoint;
import io.graft.io.CheckpointWriter;
import io.graft.io.LlamaConfig;
import io.graft.io.SafetensorsFile;
import io.graft.io.ShardedWriter;
import io.graft.io.StoredTensor;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.tensor.WeightForm;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What is in memory while a checkpoint is loaded: the model, and beside it at most one tensor, in bytes of the native counters
 * and of buffers outside the Java heap together.
 */
class LoadMemoryTest {
    /** Below the 24 MiB of the embedding, above what threads stage. */
    private static final long SHARD = 8 << 20;

    @TempDir
    Path folder;

    private static LlamaConfig config(int layers) {
        return LlamaConfig.llama(24576, 256, 1024, layers, 4, 2, 64, 64, 1e-5, true);
    }

    /** A checkpoint of random numbers in so many files, each of at most so many bytes, or with one tensor. */
    private Path dense(int layers, DType dtype, long fileBytes) throws Exception {
        Path single = folder.resolve("single");
        Path sharded = Files.createDirectories(folder.resolve("sharded"));
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = Llama.create(scope, config(layers), dtype, 3, Llama.Options.inference())) {
            model.save(single);
        }
        try (Context context = Context.cpu(1);
                Checkpoint checkpoint = Checkpoint.open(single)) {
            List<StoredTensor> all = checkpoint.names().stream()
                    .map(name -> new StoredTensor(name, checkpoint.dtype(name), checkpoint.shape(name)))
                    .toList();
            try (CheckpointWriter out = new CheckpointWriter(sharded, all, fileBytes)) {
                for (StoredTensor each : all) {
                    try (Scope scope = context.scope()) {
                        Tensor value = scope.tensor(Memory.WORKSPACE, each.dtype(), each.shape());
                        checkpoint.read(each.name(), value);
                        out.write(each.name(), value);
                    }
                }
                out.finish(Files.readString(single.resolve("config.json")));
            }
        }
        return sharded;
    }

    private Path recoded(Path dense, WeightForm form) throws Exception {
        Path coded = Files.createDirectories(folder.resolve("coded"));
        LlamaConfig config = LlamaConfig.read(dense);
        int[][] text = IntStream.range(0, 4)
                .mapToObj(row ->
                        IntStream.range(0, 16).map(i -> (17 * row + 5 * i) % 90).toArray())
                .toArray(int[][]::new);
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Checkpoint checkpoint = Checkpoint.open(dense)) {
            Recoder recoder = form.kind() == Weight.Kind.NF4
                    ? new Nf4Recoder(scope, checkpoint, config, DType.F32)
                    : new Sketcher(
                            scope, checkpoint, config, DType.F32, new Sketcher.Settings(form, 0.1, 1, true, 2), text);
            recoder.run(new ShardedWriter(coded, Recoder.shards(config)), (module, error) -> true);
        }
        return coded;
    }

    /**
     * Bytes outside the Java heap.
     *
     * @param model that the context holds when all is loaded
     * @param beyond that there were at most beside it, an upper bound
     */
    private record Load(long model, long beyond, int files) {}

    private static long buffers() {
        return ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class).stream()
                .filter(pool -> pool.getName().equals("direct"))
                .mapToLong(BufferPoolMXBean::getMemoryUsed)
                .sum();
    }

    private static void assertToldOfEach(List<String> told, Llama loaded) {
        long coded = loaded.projections().stream()
                .filter(projection -> projection.parameter() == null)
                .count();
        long all = loaded.parameters().size() + coded;
        assertThat(told)
                .isEqualTo(LongStream.rangeClosed(1, all)
                        .mapToObj(i -> i + " of " + all)
                        .toList());
    }

    private static Load load(Path model, DType compute, Weight.Kind base) {
        long before = buffers();
        List<String> told = new ArrayList<>();
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Checkpoint checkpoint = Checkpoint.open(model)) {
            Llama.Options options = Llama.Options.inference().withBase(base);
            Llama loaded = Llama.load(
                    scope,
                    checkpoint,
                    LlamaConfig.read(model),
                    compute,
                    options.withFilling((tensors, all) -> told.add(tensors + " of " + all)));
            assertToldOfEach(told, loaded);
            long held = context.memory(Memory.BASE);
            long beyond = context.peakMemory() - held + Math.max(0, buffers() - before);
            return new Load(held, beyond, checkpoint.files().size());
        }
    }

    /** The same, of a context that counts and computes nothing. */
    private static long planned(Path model, DType compute, Weight.Kind base) {
        try (Context context = Context.planning(2);
                Scope scope = context.scope();
                Checkpoint checkpoint = Checkpoint.open(model)) {
            new LlamaLayers(
                    scope,
                    LlamaConfig.read(model),
                    compute,
                    Llama.Options.inference().withBase(base),
                    checkpoint);
            return context.memory(Memory.BASE);
        }
    }

    private static long largestTensor(Path model) {
        try (Checkpoint checkpoint = Checkpoint.open(model)) {
            return checkpoint.names().stream()
                    .map(name -> new StoredTensor(name, checkpoint.dtype(name), checkpoint.shape(name)).bytes())
                    .max(Comparator.naturalOrder())
                    .orElseThrow();
        }
    }

    private static void assertAtMostOneTensorMore(Path model, DType compute, Weight.Kind base, Load load) {
        assertThat(load.model()).isEqualTo(planned(model, compute, base));
        assertThat(load.beyond()).isLessThanOrEqualTo(largestTensor(model));
    }

    @ParameterizedTest
    @CsvSource({
        "BF16, BF16, DENSE",
        "F32, BF16, DENSE",
        "BF16, F32, DENSE",
        "BF16, BF16, NF4",
        "F32, BF16, NF4",
        "F32, F32, NF4"
    })
    void aModelAndAtMostOneTensor(DType stored, DType compute, Weight.Kind base) throws Exception {
        Path model = dense(3, stored, SHARD);
        Load load = load(model, compute, base);
        assertThat(load.files()).isGreaterThan(1);
        assertAtMostOneTensorMore(model, compute, base, load);
    }

    /** Numbers that need no conversion are read to where they stay; an op's scratch is less than a page. */
    @Test
    void nothingBesideTheModelWhereTypesAreTheSame() throws Exception {
        Load load = load(dense(2, DType.BF16, Long.MAX_VALUE), DType.BF16, Weight.Kind.DENSE);
        assertThat(load.files()).isEqualTo(1);
        assertThat(load.beyond()).isLessThan(4096);
    }

    @ParameterizedTest
    @CsvSource({"NF4", "SKETCH"})
    void codesOfFilesToo(Weight.Kind kind) throws Exception {
        WeightForm form = kind == Weight.Kind.NF4 ? WeightForm.NF4 : WeightForm.sketch(4, 1);
        Path model = recoded(dense(2, DType.F32, SHARD), form);
        Load load = load(model, DType.BF16, Weight.Kind.DENSE);
        assertThat(load.files()).isEqualTo(3);
        assertAtMostOneTensorMore(model, DType.BF16, Weight.Kind.DENSE, load);
    }

    /** Puts the matrix of a module of the last file in the place of its codes; gives its bytes. */
    private static long uncode(String module, Path dense, Path coded) {
        LlamaConfig config = LlamaConfig.read(coded);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Checkpoint from = Checkpoint.open(dense)) {
            ShardedWriter files = new ShardedWriter(coded, Recoder.shards(config));
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            try (SafetensorsFile file = SafetensorsFile.open(files.path(config.layers()))) {
                for (String name : file.names()) {
                    if (!name.startsWith(module)) {
                        Tensor value = scope.tensor(Memory.WORKSPACE, file.dtype(name), file.shape(name));
                        file.read(name, value);
                        tensors.put(name, value);
                    }
                }
            }
            String name = module + ".weight";
            Tensor matrix = scope.tensor(Memory.WORKSPACE, from.dtype(name), from.shape(name));
            from.read(name, matrix);
            tensors.put(name, matrix);
            files.write(config.layers(), tensors);
            files.finish(config, WeightForm.NF4);
            return from.entry(name).bytes();
        }
    }

    /** A layer that a checkpoint of codes holds as a matrix takes memory for that one, not for the largest. */
    @Test
    void codesNeedNoMatrix() throws Exception {
        Path dense = dense(2, DType.F32, SHARD);
        Path coded = recoded(dense, WeightForm.NF4);
        assertThat(load(coded, DType.F32, Weight.Kind.NF4).beyond()).isLessThan(8192);
        long bytes = uncode("model.layers.1.self_attn.k_proj", dense, coded);
        assertThat(bytes).isEqualTo(2 * 64 * 256 * 4);
        long arena = 1 << 20;
        assertThat(load(coded, DType.F32, Weight.Kind.NF4).beyond()).isBetween(bytes, bytes + arena + 8192);
    }

    /** More layers, and so more files, take no more beside the model. */
    @Test
    void howeverManyLayersThereAre() throws Exception {
        long few = load(dense(2, DType.F32, SHARD), DType.BF16, Weight.Kind.NF4).beyond();
        Load many = load(dense(9, DType.F32, SHARD), DType.BF16, Weight.Kind.NF4);
        assertThat(many.files()).isGreaterThan(3);
        assertThat(many.beyond()).isLessThanOrEqualTo(few);
    }
}
