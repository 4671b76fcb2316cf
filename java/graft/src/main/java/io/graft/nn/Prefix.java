package io.graft.nn;

import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/**
 * Trained keys and values that stand before every sequence in each layer. Keys are used as they are, without rotation; the
 * first real token is at the position behind them.
 */
public final class Prefix {
    private final Tensor rows;
    private final Tensor rowsGradient;
    private final PromptEncoder encoder;
    private final BlockShape shape;

    /** @param rows [length, layers · 2 · keyWidth]: of each layer first the key, then the value */
    public Prefix(Parameter rows, BlockShape shape) {
        this.rows = rows.value();
        this.rowsGradient = rows.gradient();
        this.encoder = null;
        this.shape = shape;
    }

    /** The rows that an encoder makes. */
    public Prefix(PromptEncoder encoder, BlockShape shape) {
        this.rows = encoder.rows();
        this.rowsGradient = encoder.trainable() ? encoder.gradient() : null;
        this.encoder = encoder;
        this.shape = shape;
    }

    public int length() {
        return (int) rows.size(0);
    }

    public boolean trainable() {
        return rowsGradient != null;
    }

    /** To be called when all layers have added their gradients. */
    void backward() {
        if (encoder != null && trainable()) {
            encoder.backward();
        }
    }

    /** What belongs to one layer: 0 the keys, 1 the values, [batch, length, Hk, D] with the same rows for all of batch. */
    private Tensor part(Scope scope, Tensor whole, int layer, int which, int batch) {
        return scope.view(
                whole,
                (2L * layer + which) * shape.keyWidth(),
                new long[] {batch, length(), shape.kvHeads(), shape.headDim()},
                new long[] {0, whole.stride(0), shape.headDim(), 1});
    }

    int layers() {
        return (int) (rows.size(1) / (2L * shape.keyWidth()));
    }

    /** A layer's keys [length, Hk · D]. */
    Tensor keys(Scope scope, int layer) {
        return matrix(scope, layer, 0);
    }

    /** A layer's values, likewise. */
    Tensor values(Scope scope, int layer) {
        return matrix(scope, layer, 1);
    }

    private Tensor matrix(Scope scope, int layer, int which) {
        long width = shape.keyWidth();
        return scope.view(rows, (2L * layer + which) * width, new long[] {length(), width}, rows.strides());
    }

    /** Keys and values of one layer as attention reads them, and the places of those behind the prefix. */
    record Store(Tensor keys, Tensor values, Tensor newKeys, Tensor newValues) {}

    /** Gradients of keys and values with the prefix in front, which all layers share in turn. */
    final class Gradients {
        final Tensor keys;
        final Tensor values;
        final Tensor newKeys;
        final Tensor newValues;
        private final Tensor[] prefixKeys;
        private final Tensor[] prefixValues;

        Gradients(Scope scope, DType dtype, int batch, int tokens) {
            keys = allocate(scope, dtype, batch, tokens);
            values = allocate(scope, dtype, batch, tokens);
            newKeys = range(scope, keys, length(), tokens);
            newValues = range(scope, values, length(), tokens);
            prefixKeys = sequences(scope, keys);
            prefixValues = sequences(scope, values);
        }

        private Tensor[] sequences(Scope scope, Tensor whole) {
            Tensor[] all = new Tensor[(int) whole.size(0)];
            for (int i = 0; i < all.length; i++) {
                all[i] = scope.view(
                        whole,
                        i * whole.stride(0),
                        new long[] {1, length(), shape.kvHeads(), shape.headDim()},
                        whole.strides());
            }
            return all;
        }
    }

    private Tensor allocate(Scope scope, DType dtype, int batch, int tokens) {
        return scope.tensor(Memory.ACTIVATION, dtype, batch, length() + tokens, shape.kvHeads(), shape.headDim());
    }

    private static Tensor range(Scope scope, Tensor whole, int from, int count) {
        long[] part = whole.shape();
        part[1] = count;
        return scope.view(whole, from * whole.stride(1), part, whole.strides());
    }

    /** Keys and values of one layer with the prefix in front, for one shape of batches. */
    final class Tape {
        private final Store store;
        private final Tensor prefixKeys;
        private final Tensor prefixValues;
        private final Tensor keyRows;
        private final Tensor valueRows;
        private final Tensor keyGradient;
        private final Tensor valueGradient;
        private final Gradients gradients;

        /**
         * @param shared whose keys and values are used; null for own ones
         * @param gradients of the whole stack; null in inference
         */
        Tape(Scope scope, DType dtype, int layer, int batch, int tokens, Tape shared, Gradients gradients) {
            Tensor keys = shared != null ? shared.store.keys() : allocate(scope, dtype, batch, tokens);
            Tensor values = shared != null ? shared.store.values() : allocate(scope, dtype, batch, tokens);
            store = new Store(
                    keys, values, range(scope, keys, length(), tokens), range(scope, values, length(), tokens));
            this.gradients = gradients;
            prefixKeys = range(scope, keys, 0, length());
            prefixValues = range(scope, values, 0, length());
            keyRows = part(scope, rows, layer, 0, batch);
            valueRows = part(scope, rows, layer, 1, batch);
            keyGradient = trainable() ? part(scope, rowsGradient, layer, 0, 1) : null;
            valueGradient = trainable() ? part(scope, rowsGradient, layer, 1, 1) : null;
        }

        Store store() {
            return store;
        }

        Gradients gradients() {
            return gradients;
        }

        boolean trainable() {
            return Prefix.this.trainable();
        }

        /** Puts the prefix in place. */
        void forward(Context context) {
            TensorOps.copy(context, keyRows, prefixKeys);
            TensorOps.copy(context, valueRows, prefixValues);
        }

        /** Adds the gradient of the prefix over all sequences. */
        void backward(Context context) {
            if (trainable()) {
                add(context, gradients.prefixKeys, keyGradient);
                add(context, gradients.prefixValues, valueGradient);
            }
        }

        private static void add(Context context, Tensor[] gradients, Tensor sum) {
            for (Tensor gradient : gradients) {
                TensorOps.add(context, gradient, sum);
            }
        }
    }
}
