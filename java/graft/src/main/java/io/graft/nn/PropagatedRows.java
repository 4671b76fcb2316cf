package io.graft.nn;

import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/**
 * Rows that each layer adds to the hidden states of the virtual tokens before every sequence; the first layer's are the
 * virtual tokens themselves (prefix-propagation, arXiv 2305.12086).
 */
public final class PropagatedRows {
    private final Parameter rows;
    private final int hidden;

    /** @param rows [length, layers · hidden] */
    public PropagatedRows(Parameter rows, int hidden) {
        this.rows = rows;
        this.hidden = hidden;
    }

    /** The virtual tokens [length, hidden]. */
    Tensor first() {
        return rows.value().columns(0, hidden);
    }

    /** Where their gradient goes; null in inference. */
    Tensor firstGradient() {
        return rows.trainable() ? rows.gradient().columns(0, hidden) : null;
    }

    /** The rows' places in the input of a layer that is not the first; made once for a shape of batches. */
    final class Places {
        private final Tensor source;
        private final Tensor sum;
        private final Tensor[] inputs;
        private final Tensor[] gradients;

        /** @param gradient of the stream, of its shape; null in inference */
        Places(Scope scope, int layer, int batch, Tensor stream, Tensor gradient) {
            long from = (long) layer * hidden;
            source = columns(scope, rows.value(), from);
            boolean wanted = gradient != null && rows.trainable();
            sum = wanted ? columns(scope, rows.gradient(), from) : null;
            inputs = sequences(scope, batch, stream);
            gradients = wanted ? sequences(scope, batch, gradient) : new Tensor[0];
        }

        private Tensor columns(Scope scope, Tensor all, long from) {
            return scope.view(all, from, new long[] {all.size(0), hidden}, all.strides());
        }

        private Tensor[] sequences(Scope scope, int batch, Tensor stream) {
            Tensor[] sequences = new Tensor[batch];
            for (int i = 0; i < batch; i++) {
                sequences[i] = scope.view(
                        stream,
                        i * (stream.size(0) / batch) * stream.stride(0),
                        new long[] {rows.value().size(0), hidden},
                        stream.strides());
            }
            return sequences;
        }

        void forward(Context context) {
            for (Tensor input : inputs) {
                TensorOps.add(context, source, input);
            }
        }

        void backward(Context context) {
            for (Tensor gradient : gradients) {
                TensorOps.add(context, gradient, sum);
            }
        }
    }
}
