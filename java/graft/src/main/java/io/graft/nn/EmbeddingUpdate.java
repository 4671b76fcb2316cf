package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A trained low-rank matrix that is added to the embeddings of a sequence's first tokens, by their places: {@code E + A B}
 * with A [places, r] and B [r, hidden] (DePT, arXiv 2309.05173, section 2.2). It is multiplied out once after each change.
 */
public final class EmbeddingUpdate {
    private final Parameter a;
    private final Parameter b;
    private final Weight right;
    private final Tensor rows;
    private final Tensor gradient;

    /** Both parameters are in the dtype of masters. */
    public EmbeddingUpdate(Scope scope, Parameter a, Parameter b) {
        this.a = a;
        this.b = b;
        right = scope.weight(b.value());
        long[] shape = {a.value().size(0), b.value().size(1)};
        rows = scope.tensor(Memory.ADAPTER, a.value().dtype(), shape);
        gradient = a.trainable() ? scope.tensor(Memory.GRADIENT, rows.dtype(), shape) : null;
        write();
    }

    /** Places that have an update. */
    int length() {
        return (int) rows.size(0);
    }

    /** Makes A B again: to be called after each change of the parameters. */
    public void write() {
        Linear.backward(rows.scope().context(), a.value(), null, right, false, rows, null, null);
    }

    /** Adds what belongs to the token at a place, where there is something, to its embedding [1, hidden]. */
    void add(Tensor embedding, int place) {
        if (place < length()) {
            TensorOps.add(rows.scope().context(), rows.rows(place, place + 1), embedding);
        }
    }

    /** The places of each sequence in the first block's input, and in its gradient; made once for a shape of batches. */
    final class Places {
        private final Tensor source;
        private final Tensor[] inputs;
        private final Tensor[] gradients;
        private final Tensor sum;

        /**
         * @param front virtual tokens before each sequence
         * @param dstream the stream's gradient; null in inference
         */
        Places(Scope scope, int batch, Tensor stream, Tensor dstream, int front) {
            long length = stream.size(0) / batch;
            long count = Math.min(length(), length - front);
            source = scope.view(rows, 0, new long[] {count, rows.size(1)}, rows.strides());
            inputs = sequences(scope, batch, stream, front, count);
            boolean wanted = dstream != null && gradient != null;
            gradients = wanted ? sequences(scope, batch, dstream, front, count) : new Tensor[0];
            sum = wanted ? scope.view(gradient, 0, source.shape(), gradient.strides()) : null;
        }

        private Tensor[] sequences(Scope scope, int batch, Tensor stream, int front, long count) {
            Tensor[] sequences = new Tensor[batch];
            long length = stream.size(0) / batch;
            for (int i = 0; i < batch; i++) {
                long first = (i * length + front) * stream.stride(0);
                sequences[i] = scope.view(stream, first, new long[] {count, stream.size(1)}, stream.strides());
            }
            return sequences;
        }

        void forward(Context context) {
            for (Tensor input : inputs) {
                TensorOps.add(context, source, input);
            }
        }

        /** Adds the parameters' gradients of all sequences. */
        void backward(Context context) {
            if (sum == null) {
                return;
            }
            TensorOps.fill(context, 0, gradient);
            for (Tensor sequence : gradients) {
                TensorOps.add(context, sequence, sum);
            }
            Linear.forward(context, gradient, right, null, true, a.gradient());
            Linear.backward(context, a.value(), gradient, right, false, null, b.gradient(), null);
        }
    }
}
