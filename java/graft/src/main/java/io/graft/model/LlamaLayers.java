package io.graft.model;

import io.graft.adapter.Adapter;
import io.graft.io.AtomicFiles;
import io.graft.io.Checkpoint;
import io.graft.io.CodedWeights;
import io.graft.io.DecoderDesign;
import io.graft.io.DecoderDesign.Part;
import io.graft.io.LlamaConfig;
import io.graft.io.ModuleNames;
import io.graft.io.SafetensorsWriter;
import io.graft.io.StoredTensor;
import io.graft.nn.Block;
import io.graft.nn.BlockShape;
import io.graft.nn.Norm;
import io.graft.nn.Parameter;
import io.graft.nn.PositionEmbedding;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.nn.RotaryEmbedding;
import io.graft.nn.TokenEmbedding;
import io.graft.ops.Random;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.tensor.WeightForm;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BiConsumer;

/** The layers of a decoder with the names that Hugging Face gives their parameters, and how they are filled. */
final class LlamaLayers {
    /** Deviation of fresh weights, the default of transformers. */
    private static final double INITIALIZER_RANGE = 0.02;

    private final Scope scope;
    private final LlamaConfig config;
    private final Adapter adapter;
    private final BlockShape shape;
    private final TokenEmbedding embedding;
    private final Block[] blocks;
    private final Norm norm;
    private final Head head;
    private final RotaryEmbedding[] rotary;
    private final PositionEmbedding positions;
    private final List<Slot> slots = new ArrayList<>();
    private final Path unusedFrom;
    private int leftOut;

    /** A tensor of the checkpoint: a parameter in memory, or a projection that is quantised when it is filled. */
    private record Slot(Parameter parameter, Projection quantized) {
        String name() {
            return parameter != null ? parameter.name() : quantized.name();
        }
    }

    /** @param stored where the weights will come from, which may hold codes; null: from nowhere */
    LlamaLayers(Scope scope, LlamaConfig config, DType dtype, Llama.Options options, Checkpoint stored) {
        Adapter adapter = options.adapter();
        this.scope = scope;
        this.config = config;
        this.adapter = adapter;
        shape = BlockForms.shape(config);
        boolean tied = config.tiedEmbeddings();
        ModuleNames names = config.design().architecture().names();
        String table = names.embedding() + ".weight";
        head = new Head(
                scope,
                tied ? table : names.head() + ".weight",
                config.design().has(Part.HEAD_BIAS) ? names.head() + ".bias" : null,
                dtype,
                config.vocabularySize(),
                config.hiddenSize());
        embedding = new TokenEmbedding(
                tied
                        ? head.matrix()
                        : new Parameter(
                                table, scope.tensor(Memory.BASE, dtype, config.vocabularySize(), config.hiddenSize())),
                BlockForms.embeddingScale(config));
        Projection.Factory make = (module, outputs, inputs) -> {
            WeightForm found = stored == null ? WeightForm.DENSE : CodedWeights.form(stored, module);
            WeightForm form = form(module, found, adapter == null ? null : adapter.form(module), options.base());
            int border = adapter == null ? 0 : Precision.border(dtype, adapter.border(module));
            return Projection.of(scope, module, dtype, outputs, inputs, border, form);
        };
        blocks = new Block[config.layers()];
        for (int i = 0; i < blocks.length; i++) {
            blocks[i] = new Block(scope, names.layers() + "." + i, dtype, shape, BlockForms.form(config, i), make);
        }
        norm = Norm.of(
                BlockForms.form(config, 0).norm(),
                scope,
                names.norm(),
                dtype,
                config.hiddenSize(),
                config.rmsNormEps());
        rotary = BlockForms.rotary(scope, config);
        positions = positions(scope, config, dtype);
        unusedFrom = stored == null ? null : stored.directory();
        collect(tied);
    }

    /** Codes stay what they are in the checkpoint; a dense weight becomes what the adapter or the caller wants. */
    private static WeightForm form(String module, WeightForm stored, WeightForm wanted, Weight.Kind base) {
        boolean dense = stored.kind() == Weight.Kind.DENSE;
        if (base != Weight.Kind.DENSE && !dense && base != stored.kind()) {
            throw new IllegalArgumentException("Llama: the base is to be " + base + ", but the checkpoint holds "
                    + module + " as " + stored.kind());
        }
        if (!dense) {
            return stored;
        }
        if (base == Weight.Kind.SKETCH) {
            throw new IllegalArgumentException("Llama: the base is " + base + ", must be DENSE or NF4");
        }
        if (wanted != null && base != Weight.Kind.DENSE) {
            throw new IllegalArgumentException(
                    "Llama: the base is " + base + ", but the adapter needs " + module + " as " + wanted.kind());
        }
        return wanted == null ? WeightForm.of(base) : wanted;
    }

    /** The table of positions with its numbers not yet in it; null where heads are turned instead. */
    static PositionEmbedding positions(Scope scope, LlamaConfig config, DType dtype) {
        DecoderDesign design = config.design();
        if (!design.has(Part.LEARNED_POSITIONS)) {
            return null;
        }
        return new PositionEmbedding(new Parameter(
                design.architecture().names().positions() + ".weight",
                scope.tensor(Memory.BASE, dtype, config.maxPositions(), config.hiddenSize())));
    }

    private void collect(boolean tied) {
        add(embedding.table());
        if (positions != null) {
            add(positions.table());
        }
        for (Block block : blocks) {
            block.attention().norm().parameters().forEach(this::add);
            for (Projection projection : block.projections()) {
                if (projection == block.turns().get(2).get(0)) {
                    block.attention().headNorms().forEach(this::add);
                    addNorm(block.attention().postNorm());
                    if (!block.parallel()) {
                        block.mlp().norm().parameters().forEach(this::add);
                    }
                }
                slots.add(new Slot(projection.parameter(), projection.parameter() == null ? projection : null));
                if (projection.bias() != null) {
                    add(projection.bias());
                }
            }
            addNorm(block.mlp().postNorm());
        }
        norm.parameters().forEach(this::add);
        if (!tied) {
            add(head.matrix());
            if (head.bias() != null) {
                add(head.bias());
            }
        }
    }

    private void addNorm(Norm maybe) {
        if (maybe != null) {
            maybe.parameters().forEach(this::add);
        }
    }

    private void add(Parameter parameter) {
        slots.add(new Slot(parameter, null));
    }

    /** Fills tensors in order; of those to be quantised a single matrix at a time exists, all in one piece of memory. */
    private void fill(List<Slot> filled, BiConsumer<String, Tensor> filler) {
        try (Scope staging = scope.scope()) {
            Tensor memory = null;
            for (Slot slot : filled) {
                if (slot.parameter() != null) {
                    filler.accept(slot.name(), slot.parameter().value());
                    continue;
                }
                Projection projection = slot.quantized();
                if (memory == null) {
                    memory = staging.tensor(Memory.WORKSPACE, projection.dtype(), largestQuantized(filled));
                }
                Weight weight = projection.weight();
                try (Scope views = staging.scope()) {
                    long[] shape = {weight.n(), weight.k()};
                    Tensor matrix = views.view(memory, 0, shape, new long[] {weight.k(), 1});
                    filler.accept(slot.name(), matrix);
                    projection.quantize(matrix);
                    if (adapter != null) {
                        adapter.quantized(projection, matrix);
                    }
                }
            }
        }
    }

    private static long largestQuantized(List<Slot> filled) {
        return filled.stream()
                .filter(slot -> slot.parameter() == null)
                .mapToLong(slot -> slot.quantized().weight().n()
                        * slot.quantized().weight().k())
                .max()
                .orElse(0);
    }

    /** Codes first, which are read while there is no dense matrix. */
    void load(Checkpoint checkpoint) {
        List<Slot> dense = new ArrayList<>();
        for (Slot slot : slots) {
            Projection projection = slot.quantized();
            if (projection != null
                    && CodedWeights.form(checkpoint, projection.module()).kind() != Weight.Kind.DENSE) {
                CodedWeights.read(checkpoint, projection.module(), projection.weight(), projection.table());
            } else {
                dense.add(slot);
            }
        }
        fill(dense, checkpoint::read);
    }

    /** Refuses what needs matrices in memory; method: of {@link Llama}. */
    void expectDense(String method) {
        for (Projection projection : projections()) {
            Weight.Kind kind = projection.weight().kind();
            if (kind != Weight.Kind.DENSE) {
                throw new IllegalStateException("Llama." + method + ": the base is " + kind
                        + "; load the model, and its adapter, with a dense base for that");
            }
        }
    }

    /** Writes config.json and model.safetensors into a directory; every layer is dense. */
    void save(Path directory, LlamaConfig written) {
        try {
            Files.createDirectories(directory);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot make " + directory + ": " + e.getMessage(), e);
        }
        try (Scope staging = scope.scope();
                Scope host = scope.context().host().scope()) {
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            for (Parameter parameter : parameters()) {
                tensors.put(parameter.name(), as(head.weight().matrix().dtype(), parameter.value(), staging));
            }
            List<StoredTensor> carried = readUnused(host, tensors);
            Path file = directory.resolve("model.safetensors");
            SafetensorsWriter.write(file, tensors, carried, SafetensorsWriter.PYTORCH);
        }
        AtomicFiles.write(directory.resolve("config.json"), written.toJson());
    }

    /** Adds the bytes of what of the checkpoint is not computed, and says what they are. */
    private List<StoredTensor> readUnused(Scope host, Map<String, Tensor> tensors) {
        if (unusedFrom == null || unused().isEmpty()) {
            return List.of();
        }
        try (Checkpoint checkpoint = Checkpoint.open(unusedFrom)) {
            return readUnused(checkpoint, config, host, tensors);
        }
    }

    /** The same of a checkpoint that is open. */
    static List<StoredTensor> readUnused(
            Checkpoint checkpoint, LlamaConfig config, Scope host, Map<String, Tensor> tensors) {
        List<String> names = config.design().architecture().unused(checkpoint);
        names.forEach(name -> tensors.put(name, checkpoint.bytes(name, host)));
        return names.stream().map(checkpoint::entry).toList();
    }

    /** Modules of checkpoints that are not computed. */
    List<String> unused() {
        return config.design().architecture().unused();
    }

    private static Tensor as(DType dtype, Tensor value, Scope staging) {
        if (value.dtype() == dtype) {
            return value;
        }
        Tensor converted = staging.tensor(Memory.WORKSPACE, dtype, value.shape());
        TensorOps.copy(staging.context(), value, converted);
        return converted;
    }

    void initialise(long seed) {
        Context context = scope.context();
        long[] offset = {0};
        boolean shifted = config.design().has(Part.SHIFTED_NORMS);
        BiConsumer<String, Tensor> filler = (name, value) -> {
            if (value.rank() == 2) {
                Random.normal(context, seed, offset[0], 0, INITIALIZER_RANGE, value);
            } else {
                TensorOps.fill(context, name.endsWith(".bias") || shifted ? 0 : 1, value);
            }
            offset[0] += value.elements();
        };
        fill(slots, filler);
    }

    BlockShape shape() {
        return shape;
    }

    TokenEmbedding embedding() {
        return embedding;
    }

    /** Whether anything before the first block is. */
    boolean tablesTrained() {
        return embedding.table().trainable()
                || (positions != null && positions.table().trainable());
    }

    /** null where heads are turned instead. */
    PositionEmbedding positions() {
        return positions;
    }

    List<Projection> projections() {
        return Arrays.stream(blocks)
                .flatMap(block -> block.projections().stream())
                .toList();
    }

    /** How many numbers there are, however they are stored. */
    long size() {
        long size = 0;
        for (Slot slot : slots) {
            size += slot.parameter() != null
                    ? slot.parameter().value().elements()
                    : slot.quantized().weight().n() * slot.quantized().weight().k();
        }
        return size;
    }

    Block[] blocks() {
        return blocks;
    }

    /** Lets the lowest blocks run without what is attached to their projections. */
    void leaveOutAdapters(int lowest) {
        if (lowest < 0 || lowest > blocks.length) {
            throw new IllegalArgumentException(
                    "leaveOutAdapters: " + lowest + " blocks, the model has " + blocks.length);
        }
        for (int i = leftOut; i < lowest; i++) {
            blocks[i].leaveOut(true);
            leftOut = i + 1;
        }
        for (; leftOut > lowest; leftOut--) {
            blocks[leftOut - 1].leaveOut(false);
        }
    }

    /** How many blocks run without it now. */
    int leftOut() {
        return leftOut;
    }

    Norm norm() {
        return norm;
    }

    /** The head's weight; with tied embeddings the table itself. */
    Head head() {
        return head;
    }

    /** See {@link BlockForms#rotary}. */
    RotaryEmbedding[] rotary() {
        return rotary;
    }

    /** null where heads are not turned. */
    Tensor inverseFrequencies() {
        return rotary[0] == null ? null : rotary[0].inverseFrequencies();
    }

    /** The parameters in memory: all but quantised projections. */
    List<Parameter> parameters() {
        return slots.stream().map(Slot::parameter).filter(Objects::nonNull).toList();
    }
}
