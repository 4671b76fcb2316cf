package io.graft.nn;

import io.graft.ops.Attention;
import io.graft.ops.Linear;
import io.graft.ops.RowScale;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Trained rows P that a layer attends to beside its sequence, in a softmax of their own behind a gate (LLaMA-Adapter, arXiv
 * 2303.16199, section 3.2): attention's heads gain {@code gate · softmax(q (P Wkᵀ)ᵀ / √D) (P Wvᵀ)}, where q is rotated and the
 * rows are not. The gate is folded into their values. Keys and values are made once after each change of the parameters.
 */
public final class GatedPrompt {
    private final Parameter rows;
    private final Parameter gate;
    private final BlockShape shape;
    private final Weight keyWeight;
    private final Weight valueWeight;
    private final Tensor keyBias;
    private final Tensor valueBias;
    private final Tensor keys;
    private final Tensor values;
    private final Tensor gated;
    private final Tensor factors;
    private final Tensor factorColumn;
    private final Tensor ones;
    private final Weight onesRow;
    private final Weight gateWeight;
    private final Tensor gateGradient;

    /**
     * @param rows [length, hidden] in the compute dtype
     * @param gate [1] in the dtype of masters
     */
    public GatedPrompt(Scope scope, Parameter rows, Parameter gate, BlockShape shape, AttentionBlock layer) {
        this.rows = rows;
        this.gate = gate;
        this.shape = shape;
        if (layer.fused()) {
            throw new IllegalArgumentException(
                    "GatedPrompt: " + layer.q().module() + " makes q, k and v, which gated prompts do not serve");
        }
        keyWeight = layer.k().weight();
        valueWeight = layer.v().weight();
        keyBias = bias(layer.k());
        valueBias = bias(layer.v());
        if (!layer.headNorms().isEmpty()) {
            throw new IllegalArgumentException(
                    "GatedPrompt: " + layer.k().module() + " has norms of heads, which gated prompts do not serve");
        }
        DType dtype = rows.value().dtype();
        DType wide = gate.value().dtype();
        keys = scope.tensor(Memory.ADAPTER, dtype, length(), shape.keyWidth());
        values = scope.tensor(Memory.ADAPTER, dtype, length(), shape.keyWidth());
        gated = scope.tensor(Memory.ADAPTER, dtype, length(), shape.keyWidth());
        factors = scope.tensor(Memory.ADAPTER, wide, length());
        factorColumn = factors.reshape(length(), 1);
        ones = scope.tensor(Memory.ADAPTER, wide, length(), 1);
        TensorOps.fill(scope.context(), 1, ones);
        onesRow = scope.weight(ones.reshape(1, length()));
        gateWeight = scope.weight(gate.value().reshape(1, 1));
        gateGradient = gate.trainable() ? gate.gradient().reshape(1, 1) : null;
        write();
    }

    private static Tensor bias(Projection projection) {
        return projection.bias() == null ? null : projection.bias().value();
    }

    public int length() {
        return (int) rows.value().size(0);
    }

    public boolean trainable() {
        return rows.trainable();
    }

    /** Makes keys and values again: to be called after each change of the parameters. */
    public void write() {
        Context context = keys.scope().context();
        Linear.forward(context, rows.value(), keyWeight, keyBias, false, keys);
        Linear.forward(context, rows.value(), valueWeight, valueBias, false, values);
        Linear.forward(context, ones, gateWeight, null, false, factorColumn);
        RowScale.forward(context, values, factors, gated);
    }

    private Tensor heads(Scope scope, Tensor matrix, int batch) {
        return scope.view(matrix, 0, new long[] {batch, length(), shape.kvHeads(), shape.headDim()}, new long[] {
            0, matrix.stride(0), shape.headDim(), 1
        });
    }

    /** What backward needs of one forward, and where its gradients go; all for one shape of batches. */
    final class Tape {
        /** The sequence's own attention [B, T, Hq, D]. */
        final Tensor own;

        private final Tensor others;
        private final Tensor lse;
        private final Tensor keyHeads;
        private final Tensor valueHeads;
        private final Gradients gradients;

        /**
         * @param shared whose buffers serve; null for own ones
         * @param gradients null in inference
         */
        Tape(Scope scope, DType dtype, int batch, int tokens, Tape shared, Gradients gradients) {
            own = shared != null ? shared.own : queries(scope, dtype, batch, tokens);
            others = shared != null ? shared.others : queries(scope, dtype, batch, tokens);
            lse = gradients == null
                    ? null
                    : shared != null ? shared.lse : Scratch.statistics(scope, dtype, batch, shape.heads(), tokens);
            keyHeads = heads(scope, keys, batch);
            valueHeads = heads(scope, gated, batch);
            this.gradients = gradients;
        }

        private Tensor queries(Scope scope, DType dtype, int batch, int tokens) {
            return scope.tensor(Memory.ACTIVATION, dtype, batch, tokens, shape.heads(), shape.headDim());
        }

        /** out = own + what the rows give. why past: a query behind all rows sees each of them. */
        void forward(Context context, Tensor q, Tensor out) {
            Attention.forward(
                    context, q, keyHeads, valueHeads, null, null, shape.attentionScale(), 0, length(), 0, others, lse);
            TensorOps.copy(context, own, out);
            TensorOps.add(context, others, out);
        }

        /** Adds the parameters' gradients; dq, where it is wanted, is added to. */
        void backward(Context context, Tensor dout, Tensor q, Tensor dq) {
            Attention.backward(
                    context,
                    dout,
                    q,
                    keyHeads,
                    valueHeads,
                    others,
                    lse,
                    null,
                    null,
                    shape.attentionScale(),
                    0,
                    length(),
                    0,
                    gradients.dq,
                    gradients.dk,
                    gradients.dv);
            if (dq != null) {
                TensorOps.add(context, gradients.dq, dq);
            }
            if (trainable()) {
                gradients.backward(context, GatedPrompt.this);
            }
        }

        boolean trainable() {
            return GatedPrompt.this.trainable();
        }
    }

    /** Gradients of keys and values, which all layers of a stack share in turn. */
    static final class Gradients {
        private final Tensor dq;
        private final Tensor dk;
        private final Tensor dv;
        private final Tensor[] keySequences;
        private final Tensor[] valueSequences;
        private final Tensor sum;
        private final Tensor narrow;
        private final Tensor rows;
        private final Tensor products;
        private final Tensor productRow;

        Gradients(Scope scope, DType dtype, BlockShape shape, int batch, int tokens, int length) {
            DType wide = Precision.accumulator(dtype);
            dq = scope.tensor(Memory.ACTIVATION, dtype, batch, tokens, shape.heads(), shape.headDim());
            dk = scope.tensor(Memory.ACTIVATION, dtype, batch, length, shape.kvHeads(), shape.headDim());
            dv = scope.tensor(Memory.ACTIVATION, dtype, batch, length, shape.kvHeads(), shape.headDim());
            keySequences = sequences(scope, dk, shape);
            valueSequences = sequences(scope, dv, shape);
            sum = scope.tensor(Memory.ACTIVATION, wide, length, shape.keyWidth());
            narrow = dtype == wide ? sum : scope.tensor(Memory.ACTIVATION, dtype, length, shape.keyWidth());
            rows = scope.tensor(Memory.ACTIVATION, dtype, length, shape.hidden());
            products = scope.tensor(Memory.ACTIVATION, wide, length);
            productRow = products.reshape(1, length);
        }

        private static Tensor[] sequences(Scope scope, Tensor all, BlockShape shape) {
            Tensor[] sequences = new Tensor[(int) all.size(0)];
            for (int i = 0; i < sequences.length; i++) {
                sequences[i] =
                        scope.view(all, i * all.stride(0), new long[] {all.size(1), shape.keyWidth()}, new long[] {
                            shape.keyWidth(), 1
                        });
            }
            return sequences;
        }

        private void backward(Context context, GatedPrompt prompt) {
            sum(context, valueSequences);
            TensorOps.fill(context, 0, products);
            RowScale.backward(context, sum, prompt.values, prompt.factors, null, products);
            Linear.forward(context, productRow, prompt.onesRow, null, true, prompt.gateGradient);
            RowScale.forward(context, sum, prompt.factors, sum);
            addRows(context, prompt.valueWeight, prompt.rows.gradient());
            sum(context, keySequences);
            addRows(context, prompt.keyWeight, prompt.rows.gradient());
        }

        private void sum(Context context, Tensor[] sequences) {
            TensorOps.fill(context, 0, sum);
            for (Tensor sequence : sequences) {
                TensorOps.add(context, sequence, sum);
            }
        }

        private void addRows(Context context, Weight weight, Tensor gradient) {
            if (narrow != sum) {
                TensorOps.copy(context, sum, narrow);
            }
            Linear.backward(context, narrow, null, weight, false, rows, null, null);
            TensorOps.add(context, rows, gradient);
        }
    }
}
