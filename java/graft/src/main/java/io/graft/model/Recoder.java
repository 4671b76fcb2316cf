package io.graft.model;

import io.graft.io.Checkpoint;
import io.graft.io.CodedWeights;
import io.graft.io.LlamaConfig;
import io.graft.io.ModuleNames;
import io.graft.io.SafetensorsFile;
import io.graft.io.ShardedWriter;
import io.graft.io.StoredTensor;
import io.graft.nn.Block;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.tensor.WeightForm;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Makes a checkpoint of codes out of a dense one, a block at a time: the first file of the new checkpoint holds embedding,
 * last norm and head, as they are, and what is not computed; each other one a block. A file that is there is not made again.
 */
public abstract class Recoder {
    /** Sees each step of the work. */
    @FunctionalInterface
    public interface Listener {
        /**
         * @param error root mean square of what the layer's outputs differ by, where it is known, else NaN
         * @return whether to go on
         */
        boolean recoded(String module, double error);
    }

    final Scope scope;
    final Checkpoint checkpoint;
    final LlamaConfig config;
    final DType compute;
    final WeightForm form;

    /** @param compute the dtype in which a layer's weights are before they become codes */
    Recoder(Scope scope, Checkpoint checkpoint, LlamaConfig config, DType compute, WeightForm form) {
        this.scope = scope;
        this.checkpoint = checkpoint;
        this.config = config;
        this.compute = compute;
        this.form = form;
        Weight.Kind stored = CodedWeights.kind(checkpoint);
        if (stored != Weight.Kind.DENSE) {
            throw new IllegalArgumentException(checkpoint.directory() + " holds " + stored + " already");
        }
    }

    /** How many files the new checkpoint has. */
    public static int shards(LlamaConfig config) {
        return config.layers() + 1;
    }

    /** Makes what is missing; false when the listener ended it early. */
    public final boolean run(ShardedWriter out, Listener listener) {
        if (!out.has(0)) {
            writeRest(out);
        }
        start();
        for (int i = 0; i < config.layers(); i++) {
            if (out.has(i + 1) && !followsText()) {
                continue;
            }
            try (Scope inner = scope.scope()) {
                Block block = load(inner, i);
                if (out.has(i + 1)) {
                    try (SafetensorsFile file = SafetensorsFile.open(out.path(i + 1))) {
                        reuse(inner, block, file);
                    }
                } else {
                    Map<String, Tensor> tensors = new LinkedHashMap<>();
                    if (!recode(inner, block, tensors, listener)) {
                        return false;
                    }
                    rest(inner, block, tensors);
                    out.write(i + 1, tensors);
                }
                finish(block, i + 1 == config.layers());
            }
        }
        out.finish(config, form);
        return true;
    }

    /** Whether text goes through the blocks, also through those that an earlier run made. */
    boolean followsText() {
        return false;
    }

    /** Before the first block. */
    void start() {}

    /** Puts the codes of the block's layers into the map; false when the listener wants to end. */
    abstract boolean recode(Scope inner, Block block, Map<String, Tensor> tensors, Listener listener);

    /** Gives a block the numbers that an earlier run made. */
    void reuse(Scope inner, Block block, SafetensorsFile made) {}

    /** After each block. */
    void finish(Block block, boolean last) {}

    private Block load(Scope inner, int i) {
        Projection.Factory make =
                (module, outputs, inputs) -> new Projection(inner, module, compute, outputs, inputs, 0);
        Block block = new Block(
                inner, names().layers() + "." + i, compute, BlockForms.shape(config), BlockForms.form(config, i), make);
        block.parameters().forEach(parameter -> checkpoint.read(parameter.name(), parameter.value()));
        return block;
    }

    final ModuleNames names() {
        return config.design().architecture().names();
    }

    /** A projection of codes beside the dense one, with its numbers not yet in it. */
    final Projection coded(Scope inner, Projection dense) {
        return Projection.of(
                inner,
                dense.module(),
                compute,
                dense.weight().n(),
                dense.weight().k(),
                0,
                form);
    }

    /** Norms and biases. */
    private void rest(Scope inner, Block block, Map<String, Tensor> tensors) {
        for (Parameter parameter : block.parameters()) {
            if (parameter.value().rank() == 1) {
                copy(inner, parameter.name(), tensors);
            }
        }
    }

    private void writeRest(ShardedWriter out) {
        try (Scope inner = scope.scope();
                Scope host = scope.context().host().scope()) {
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            List<StoredTensor> carried = LlamaLayers.readUnused(checkpoint, config, host, tensors);
            String layers = names().layers() + ".";
            for (String name : checkpoint.names()) {
                if (!name.startsWith(layers) && !tensors.containsKey(name)) {
                    copy(inner, name, tensors);
                }
            }
            out.write(0, tensors, carried);
        }
    }

    /** As it is, in the dtype of the file. */
    private void copy(Scope inner, String name, Map<String, Tensor> tensors) {
        Tensor tensor = inner.tensor(Memory.WORKSPACE, checkpoint.dtype(name), checkpoint.shape(name));
        checkpoint.read(name, tensor);
        tensors.put(name, tensor);
    }
}
