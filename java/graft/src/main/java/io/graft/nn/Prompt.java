package io.graft.nn;

import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/** Virtual tokens: trained rows that stand before every sequence, in the place of embeddings. */
public final class Prompt {
    private final Tensor rows;
    private final Tensor rowsGradient;
    private final PromptEncoder encoder;
    private final EmbeddingUpdate update;
    private final PropagatedRows propagated;
    private final RoutedPrompts routed;

    /** @param rows [length, hidden] */
    public Prompt(Parameter rows) {
        this(rows, null);
    }

    /** @param update what is added to the embeddings behind the rows; null: nothing */
    public Prompt(Parameter rows, EmbeddingUpdate update) {
        this.rows = rows.value();
        this.rowsGradient = rows.gradient();
        this.encoder = null;
        this.update = update;
        this.propagated = null;
        this.routed = null;
    }

    /** Rows to which each layer adds some. */
    public Prompt(PropagatedRows propagated) {
        this.rows = propagated.first();
        this.rowsGradient = propagated.firstGradient();
        this.encoder = null;
        this.update = null;
        this.propagated = propagated;
        this.routed = null;
    }

    /** The rows that an encoder makes. */
    public Prompt(PromptEncoder encoder) {
        this.rows = encoder.rows();
        this.rowsGradient = encoder.trainable() ? encoder.gradient() : null;
        this.encoder = encoder;
        this.update = null;
        this.propagated = null;
        this.routed = null;
    }

    /** Prompts of which each sequence gets its own. */
    public Prompt(RoutedPrompts routed) {
        this.rows = null;
        this.rowsGradient = null;
        this.encoder = null;
        this.update = null;
        this.propagated = null;
        this.routed = routed;
    }

    /** What each layer adds to the virtual tokens' hidden states, or null. */
    PropagatedRows propagated() {
        return propagated;
    }

    public int length() {
        return routed == null ? (int) rows.size(0) : routed.length();
    }

    public boolean trainable() {
        return routed == null ? rowsGradient != null : routed.trainable();
    }

    /** Adds to the embedding [1, hidden] of one more token, of which so many stand before it, what belongs to its place. */
    public void continues(Tensor embedding, int place) {
        if (update != null) {
            update.add(embedding, place);
        }
    }

    /** The rows' places in the first block's input, and in its gradient; made once for a shape of batches. */
    public final class Places {
        private final Tensor source;
        private final Tensor input;
        private final Tensor[] gradients;
        private final EmbeddingUpdate.Places behind;
        private final RoutedPrompts.Places each;

        private Places(Scope scope, int batch, Tensor stream, Tensor gradient) {
            long pitch = stream.stride(0);
            long sequence = stream.size(0) / batch * pitch;
            long hidden = stream.size(1);
            each = routed == null ? null : routed.new Places(scope, batch, stream, gradient);
            source = each != null
                    ? null
                    : scope.view(rows, 0, new long[] {batch, length(), hidden}, new long[] {0, rows.stride(0), 1});
            input = scope.view(stream, 0, new long[] {batch, length(), hidden}, new long[] {sequence, pitch, 1});
            behind = update == null ? null : update.new Places(scope, batch, stream, gradient, length());
            gradients = new Tensor[gradient == null ? 0 : batch];
            for (int i = 0; i < gradients.length; i++) {
                long start = i * (gradient.size(0) / batch);
                gradients[i] =
                        scope.view(gradient, start * gradient.stride(0), new long[] {length(), hidden}, new long[] {
                            gradient.stride(0), 1
                        });
            }
        }

        /** Before {@link #forward}: a router may read so many of the first tokens of a sequence. */
        public void reads(int sequence, int tokens) {
            if (each != null) {
                each.reads(sequence, tokens);
            }
        }

        /** Writes the rows before each sequence, whose embeddings are in place. */
        public void forward(Pass pass) {
            if (each != null) {
                each.forward(pass);
                return;
            }
            Context context = pass.context();
            TensorOps.copy(context, source, input);
            if (behind != null) {
                behind.forward(context);
            }
        }

        /** Adds the gradient of all sequences. */
        public void backward(Pass pass) {
            if (each != null) {
                each.backward(pass);
            } else if (trainable()) {
                Context context = pass.context();
                for (Tensor gradient : gradients) {
                    TensorOps.add(context, gradient, rowsGradient);
                }
                if (encoder != null) {
                    encoder.backward();
                }
                if (behind != null) {
                    behind.backward(context);
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
