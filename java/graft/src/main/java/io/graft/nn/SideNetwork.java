package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.RowScale;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.ArrayList;
import java.util.List;

/**
 * A narrow network beside the blocks (ladder side tuning, arXiv 2206.06522, section 2.2): its block i reads
 * {@code μᵢ hᵢ Dᵢᵀ + (1 − μᵢ) sᵢ} of the input hᵢ of the model's block i and of what its own last block made, with μ = σ(α / 0.1),
 * and what its norm makes of the end is widened and added to the model's last output. No gradient goes into the model.
 */
public final class SideNetwork {
    private static final double TEMPERATURE = 0.1;

    private final DType dtype;
    private final BlockShape shape;
    private final Block[] blocks;
    private final Parameter[] downs;
    private final Weight[] downWeights;
    private final Parameter gates;
    private final RmsNormLayer norm;
    private final Parameter up;
    private final Weight upWeight;
    private final Tensor inverseFrequencies;
    private final List<Parameter> parameters = new ArrayList<>();

    /**
     * All values are zero; norms too.
     *
     * @param wide the model's blocks
     * @param layers how many there are
     * @param reduction what widths are divided by
     * @param frequencies the model's inverse frequencies
     */
    public SideNetwork(Scope scope, DType dtype, BlockShape wide, int layers, int reduction, Tensor frequencies) {
        this.dtype = dtype;
        int headDim = Math.max(2, wide.headDim() / reduction / 2 * 2);
        shape = new BlockShape(
                Math.max(1, wide.hidden() / reduction),
                Math.max(1, wide.intermediate() / reduction),
                wide.heads(),
                wide.kvHeads(),
                headDim,
                wide.epsilon());
        inverseFrequencies = scope.tensor(Memory.ADAPTER, frequencies.dtype(), headDim / 2);
        double[] all = frequencies.doubles();
        double[] some = new double[headDim / 2];
        for (int i = 0; i < some.length; i++) {
            some[i] = all[i * all.length / some.length];
        }
        inverseFrequencies.set(some);
        blocks = new Block[layers];
        downs = new Parameter[layers];
        downWeights = new Weight[layers];
        for (int i = 0; i < layers; i++) {
            String path = "side.layers." + i;
            blocks[i] = new Block(
                    scope,
                    path,
                    dtype,
                    shape,
                    BlockForm.PLAIN,
                    (module, n, k) -> new Projection(scope, module, dtype, n, k, 0));
            downs[i] = parameter(
                    path + ".down.weight", scope.tensor(Memory.ADAPTER, dtype, shape.hidden(), wide.hidden()));
            downWeights[i] = scope.weight(downs[i].value());
            parameters.addAll(blocks[i].attention().norm().parameters());
            parameters.addAll(blocks[i].mlp().norm().parameters());
            blocks[i].projections().forEach(projection -> parameters.add(projection.parameter()));
        }
        gates = parameter("side.gates", scope.tensor(Memory.ADAPTER, Precision.accumulator(dtype), layers));
        norm = new RmsNormLayer(scope, "side.norm", dtype, shape.hidden(), shape.epsilon());
        parameters.add(norm.weight());
        up = parameter("side.up.weight", scope.tensor(Memory.ADAPTER, dtype, wide.hidden(), shape.hidden()));
        upWeight = scope.weight(up.value());
    }

    private Parameter parameter(String name, Tensor value) {
        Parameter made = new Parameter(name, value);
        parameters.add(made);
        return made;
    }

    /** All of the network, in a fixed order. */
    public List<Parameter> parameters() {
        return List.copyOf(parameters);
    }

    /** The sizes of its blocks. */
    public BlockShape shape() {
        return shape;
    }

    public boolean trainable() {
        return up.trainable();
    }

    private double gate(int layer) {
        return 1 / (1 + Math.exp(-gates.value().doubles()[layer] / TEMPERATURE));
    }

    /** The buffers of one shape of batches, and the passes over them, beside those of the model. */
    public final class Run {
        private final Pass pass;
        private final BlockStack stack;
        private final Tensor[] narrowed;
        private final Tensor[] before;
        private final Tensor normed;
        private final Tensor rstd;
        private final Tensor part;
        private final Tensor wide;
        private final Tensor dnormed;
        private final Tensor factors;
        private final Tensor products;

        /** @param model the model's pass over the same batches */
        public Run(Scope scope, Pass model, BlockStack.Mode mode) {
            boolean training = mode != BlockStack.Mode.INFERENCE;
            long rows = model.tokens();
            DType accumulator = Precision.accumulator(dtype);
            pass = new Pass(model, new RotaryEmbedding(inverseFrequencies, 1));
            stack = new BlockStack(
                    scope, dtype, shape, blocks, model.batch(), model.length(), mode, training, null, null);
            narrowed = new Tensor[blocks.length];
            before = new Tensor[blocks.length];
            for (int i = 0; i < blocks.length; i++) {
                narrowed[i] = activation(scope, dtype, rows);
                before[i] = training ? activation(scope, dtype, rows) : null;
            }
            normed = activation(scope, dtype, rows);
            rstd = training ? Scratch.statistics(scope, dtype, rows) : null;
            part = activation(scope, dtype, rows);
            wide = training && dtype != accumulator ? activation(scope, accumulator, rows) : null;
            dnormed = training ? activation(scope, dtype, rows) : null;
            factors = scope.tensor(Memory.ACTIVATION, accumulator, rows);
            products = training ? scope.tensor(Memory.ACTIVATION, accumulator, rows) : null;
        }

        private Tensor activation(Scope scope, DType type, long rows) {
            return Precision.activation(scope, type, rows, shape.hidden(), 0);
        }

        /** Sees the input of each of the model's blocks, the first one's before all others; ignores what is behind. */
        public void input(int block, Tensor stream) {
            if (block < blocks.length) {
                Linear.forward(pass.context(), stream, downWeights[block], null, false, narrowed[block]);
            }
        }

        /** Adds what the network makes to the model's last output. cache: null outside generation. */
        public void forward(KvCache.Step cache, Tensor output) {
            Context context = pass.context();
            TensorOps.copy(context, narrowed[0], stack.input());
            stack.forward(pass, cache, (block, stream) -> mix(block + 1, stream));
            norm.forward(pass, stack.output(), normed, rstd);
            Linear.forward(context, normed, upWeight, null, true, output);
        }

        private void mix(int layer, Tensor stream) {
            if (layer == blocks.length) {
                return;
            }
            if (before[layer] != null) {
                TensorOps.copy(pass.context(), stream, before[layer]);
            }
            double gate = gate(layer);
            scale(1 - gate, stream, stream);
            scale(gate, narrowed[layer], part);
            TensorOps.add(pass.context(), part, stream);
        }

        private void scale(double factor, Tensor x, Tensor y) {
            TensorOps.fill(pass.context(), factor, factors);
            RowScale.forward(pass.context(), x, factors, y);
        }

        /**
         * Adds the parameters' gradients.
         *
         * @param dout gradient of the model's last output
         * @param model whose blocks' inputs are still in place
         */
        public void backward(Tensor dout, BlockStack model) {
            Context context = pass.context();
            Linear.backward(context, dout, normed, upWeight, false, dnormed, up.gradient(), null);
            norm.backward(pass, dnormed, stack.output(), rstd, false, stack.gradient());
            stack.backward(pass, (block, gradient) -> unmix(block, gradient, model.input(block)));
        }

        /** gradient: of the mixed input; becomes that of what the block before made. */
        private void unmix(int layer, Tensor gradient, Tensor stream) {
            Context context = pass.context();
            Tensor dnarrowed = gradient;
            if (layer > 0) {
                double gate = gate(layer);
                double slope = product(gradient, narrowed[layer]) - product(gradient, before[layer]);
                double[] sums = gates.gradient().doubles();
                sums[layer] += slope * gate * (1 - gate) / TEMPERATURE;
                gates.gradient().set(sums);
                scale(gate, gradient, part);
                scale(1 - gate, gradient, gradient);
                dnarrowed = part;
            }
            Linear.backward(context, dnarrowed, stream, downWeights[layer], false, null, downs[layer].gradient(), null);
        }

        /** Σ a ⊙ b over the whole batch. */
        private double product(Tensor a, Tensor b) {
            Context context = pass.context();
            Tensor left = a;
            if (wide != null) {
                TensorOps.copy(context, a, wide);
                left = wide;
            }
            TensorOps.fill(context, 0, products);
            RowScale.backward(context, left, b, factors, null, products);
            double sum = 0;
            for (double row : products.doubles()) {
                sum += row;
            }
            return sum;
        }
    }
}
