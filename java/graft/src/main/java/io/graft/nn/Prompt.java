package io.graft.nn;

import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/** Virtual tokens: trained rows that stand before every sequence, in the place of embeddings. */
public final class Prompt {
    private final Parameter rows;

    /** @param rows [length, hidden] */
    public Prompt(Parameter rows) {
        this.rows = rows;
    }

    public int length() {
        return (int) rows.value().size(0);
    }

    public boolean trainable() {
        return rows.trainable();
    }

    /** The rows' places in the first block's input, and in its gradient; made once for a shape of batches. */
    public final class Places {
        private final Tensor source;
        private final Tensor input;
        private final Tensor[] gradients;

        private Places(Scope scope, int batch, Tensor stream, Tensor gradient) {
            long pitch = stream.stride(0);
            long sequence = stream.size(0) / batch * pitch;
            long hidden = stream.size(1);
            Tensor value = rows.value();
            source = scope.view(value, 0, new long[] {batch, length(), hidden}, new long[] {0, value.stride(0), 1});
            input = scope.view(stream, 0, new long[] {batch, length(), hidden}, new long[] {sequence, pitch, 1});
            gradients = new Tensor[gradient == null ? 0 : batch];
            for (int i = 0; i < gradients.length; i++) {
                long start = i * (gradient.size(0) / batch);
                gradients[i] =
                        scope.view(gradient, start * gradient.stride(0), new long[] {length(), hidden}, new long[] {
                            gradient.stride(0), 1
                        });
            }
        }

        /** Writes the rows before each sequence. */
        public void forward(Context context) {
            TensorOps.copy(context, source, input);
        }

        /** Adds the gradient of all sequences. */
        public void backward(Context context) {
            if (trainable()) {
                for (Tensor gradient : gradients) {
                    TensorOps.add(context, gradient, rows.gradient());
                }
            }
        }
    }

    /**
     * The places of this prompt in {@code stream} [batch · (length + tokens), hidden].
     *
     * @param gradient of the same shape; null in inference
     */
    public Places places(Scope scope, int batch, Tensor stream, Tensor gradient) {
        return new Places(scope, batch, stream, gradient);
    }
}
