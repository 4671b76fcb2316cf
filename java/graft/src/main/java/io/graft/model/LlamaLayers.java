package io.graft.model;

import io.graft.adapter.Adapter;
import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.nn.Block;
import io.graft.nn.BlockShape;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.RmsNormLayer;
import io.graft.nn.TokenEmbedding;
import io.graft.ops.Random;
import io.graft.ops.Rope;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.ArrayList;
import java.util.List;

/** The layers of a Llama with the names that Hugging Face gives their parameters, and how they are filled. */
final class LlamaLayers {
    /** Deviation of fresh weights, the default of transformers. */
    private static final double INITIALIZER_RANGE = 0.02;

    private final Scope scope;
    private final LlamaConfig config;
    private final BlockShape shape;
    private final TokenEmbedding embedding;
    private final Block[] blocks;
    private final RmsNormLayer norm;
    private final Weight head;
    private final Parameter headParameter;
    private final Tensor inverseFrequencies;
    private final List<Parameter> parameters = new ArrayList<>();

    LlamaLayers(Scope scope, LlamaConfig config, DType dtype, Adapter adapter) {
        this.scope = scope;
        this.config = config;
        shape = new BlockShape(
                config.hiddenSize(),
                config.intermediateSize(),
                config.heads(),
                config.kvHeads(),
                config.headDim(),
                config.rmsNormEps());
        boolean tied = config.tiedEmbeddings();
        String table = "model.embed_tokens.weight";
        head = scope.weight(Memory.BASE, dtype, config.vocabularySize(), config.hiddenSize(), 0);
        headParameter = new Parameter(tied ? table : "lm_head.weight", head.matrix());
        embedding = new TokenEmbedding(
                tied
                        ? headParameter
                        : new Parameter(
                                table, scope.tensor(Memory.BASE, dtype, config.vocabularySize(), config.hiddenSize())));
        Projection.Factory make = (module, outputs, inputs) ->
                new Projection(scope, module, dtype, outputs, inputs, adapter == null ? 0 : adapter.border(module));
        blocks = new Block[config.layers()];
        for (int i = 0; i < blocks.length; i++) {
            blocks[i] = new Block(scope, "model.layers." + i, dtype, shape, make);
        }
        norm = new RmsNormLayer(scope, "model.norm", dtype, config.hiddenSize(), config.rmsNormEps());
        inverseFrequencies = scope.tensor(Memory.BASE, DType.F32, config.headDim() / 2);
        frequencies();
        collect(tied);
    }

    private void frequencies() {
        LlamaConfig.RopeScaling scaling = config.ropeScaling();
        Context context = scope.context();
        if (scaling == null) {
            Rope.frequencies(context, config.ropeTheta(), 0, 0, 0, 0, inverseFrequencies);
        } else {
            Rope.frequencies(
                    context,
                    config.ropeTheta(),
                    scaling.factor(),
                    scaling.low(),
                    scaling.high(),
                    scaling.originalPositions(),
                    inverseFrequencies);
        }
    }

    private void collect(boolean tied) {
        parameters.add(embedding.table());
        for (Block block : blocks) {
            parameters.add(block.attention().norm().weight());
            List<Projection> projections = block.projections();
            for (int i = 0; i < projections.size(); i++) {
                if (i == 4) {
                    parameters.add(block.mlp().norm().weight());
                }
                parameters.add(projections.get(i).parameter());
            }
        }
        parameters.add(norm.weight());
        if (!tied) {
            parameters.add(headParameter);
        }
    }

    void load(Checkpoint checkpoint) {
        for (Parameter parameter : parameters) {
            checkpoint.read(parameter.name(), parameter.value());
        }
    }

    void initialise(long seed) {
        Context context = scope.context();
        long offset = 0;
        for (Parameter parameter : parameters) {
            Tensor value = parameter.value();
            if (value.rank() == 2) {
                Random.normal(context, seed, offset, 0, INITIALIZER_RANGE, value);
            } else {
                TensorOps.fill(context, 1, value);
            }
            offset += value.elements();
        }
    }

    BlockShape shape() {
        return shape;
    }

    TokenEmbedding embedding() {
        return embedding;
    }

    Block[] blocks() {
        return blocks;
    }

    RmsNormLayer norm() {
        return norm;
    }

    /** The head's weight; with tied embeddings the table itself. */
    Weight head() {
        return head;
    }

    Parameter headParameter() {
        return headParameter;
    }

    Tensor inverseFrequencies() {
        return inverseFrequencies;
    }

    List<Parameter> parameters() {
        return List.copyOf(parameters);
    }
}
