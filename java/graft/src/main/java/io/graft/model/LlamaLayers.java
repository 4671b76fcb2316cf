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
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;

/** The layers of a decoder with the names that Hugging Face gives their parameters, and how they are filled. */
final class LlamaLayers {
    /** Deviation of fresh weights, the default of transformers. */
    private static final double INITIALIZER_RANGE = 0.02;

    private final Scope scope;
    private final LlamaConfig config;
    private final BlockShape shape;
    private final TokenEmbedding embedding;
    private final Block[] blocks;
    private final Norm norm;
    private final Head head;
    private final RotaryEmbedding[] rotary;
    private final PositionEmbedding positions;
    private final Slots slots;
    private final Path unusedFrom;
    private int leftOut;

    /** @param stored where the weights will come from, which may hold codes; null: from nowhere */
    LlamaLayers(Scope scope, LlamaConfig config, DType dtype, Llama.Options options, Checkpoint stored) {
        Adapter adapter = options.adapter();
        this.scope = scope;
        this.config = config;
        slots = new Slots(scope, adapter, options.filling());
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
        slots.add(embedding.table());
        if (positions != null) {
            slots.add(positions.table());
        }
        for (Block block : blocks) {
            block.attention().norm().parameters().forEach(slots::add);
            for (Projection projection : block.projections()) {
                if (projection == block.turns().get(2).get(0)) {
                    block.attention().headNorms().forEach(slots::add);
                    addNorm(block.attention().postNorm());
                    if (!block.parallel()) {
                        block.mlp().norm().parameters().forEach(slots::add);
                    }
                }
                slots.add(projection);
                if (projection.bias() != null) {
                    slots.add(projection.bias());
                }
            }
            addNorm(block.mlp().postNorm());
        }
        norm.parameters().forEach(slots::add);
        if (!tied) {
            slots.add(head.matrix());
            if (head.bias() != null) {
                slots.add(head.bias());
            }
        }
    }

    private void addNorm(Norm maybe) {
        if (maybe != null) {
            maybe.parameters().forEach(slots::add);
        }
    }

    void load(Checkpoint checkpoint) {
        slots.load(checkpoint);
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
        slots.fill(filler);
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
        return slots.size();
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
        return slots.parameters();
    }
}
