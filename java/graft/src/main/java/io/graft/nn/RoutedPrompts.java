package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.Mixture;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.Arrays;

/**
 * Several prompts of one length, of which a router gives each sequence its own: rows {@code Σ_e g_e P_e}, with gates g of
 * the mean embedding of the tokens that the router may read. No gradient goes from the router into the embeddings.
 */
public final class RoutedPrompts {
    private final Parameter prompts;
    private final Parameter rows;
    private final Router router;
    private final Weight rowsWeight;
    private final int length;

    /**
     * @param prompts P of all, one a row [experts, length · hidden], in the dtype of masters
     * @param rows the router [experts, hidden]
     */
    public RoutedPrompts(Scope scope, Parameter prompts, Parameter rows, Router router) {
        this.prompts = prompts;
        this.rows = rows;
        this.router = router;
        rowsWeight = scope.weight(rows.value());
        length = (int) (prompts.value().size(1) / rows.value().size(1));
    }

    int length() {
        return length;
    }

    boolean trainable() {
        return prompts.trainable();
    }

    /** The prompts' places in the first block's input, and in its gradient; made once for a shape of batches. */
    final class Places {
        private final int batch;
        private final int tokens;
        private final int[] read;
        private final float[] shares;
        private final Tensor sharesTensor;
        private final Weight stream;
        private final Tensor input;
        private final Tensor gradient;
        private final Tensor mean;
        private final Tensor logits;
        private final Tensor gates;
        private final Tensor dgates;
        private final Tensor ones;
        private final Tensor mixed;
        private final Tensor mixedRows;

        Places(Scope scope, int batch, Tensor stream, Tensor gradient) {
            this.batch = batch;
            tokens = (int) (stream.size(0) / batch);
            read = new int[batch];
            shares = new float[Math.toIntExact(batch * stream.size(0))];
            long hidden = stream.size(1);
            int experts = (int) rowsWeight.n();
            sharesTensor = scope.tensor(Memory.ACTIVATION, stream.dtype(), batch, stream.size(0));
            this.stream = scope.weight(stream);
            input = places(scope, batch, stream);
            this.gradient = gradient == null ? null : places(scope, batch, gradient);
            mean = scope.tensor(Memory.ACTIVATION, stream.dtype(), batch, hidden);
            logits = scope.tensor(Memory.ACTIVATION, stream.dtype(), batch, experts);
            gates = scope.tensor(Memory.ACTIVATION, stream.dtype(), batch, experts);
            dgates = scope.tensor(Memory.ACTIVATION, stream.dtype(), batch, experts);
            ones = scope.tensor(Memory.ACTIVATION, stream.dtype(), batch, length * hidden);
            TensorOps.fill(scope.context(), 1, ones);
            mixed = scope.tensor(Memory.ACTIVATION, stream.dtype(), batch, length * hidden);
            mixedRows = mixed.reshape(batch, length, hidden);
        }

        private Tensor places(Scope scope, int count, Tensor of) {
            long pitch = of.stride(0);
            return scope.view(of, 0, new long[] {count, length, of.size(1)}, new long[] {tokens * pitch, pitch, 1});
        }

        /** Of a sequence the router reads so many of the first tokens behind the prompt. */
        void reads(int sequence, int count) {
            read[sequence] = count;
        }

        void forward(Pass pass) {
            Context context = pass.context();
            Arrays.fill(shares, 0);
            for (int b = 0; b < batch; b++) {
                int first = b * batch * tokens + b * tokens + length;
                Arrays.fill(shares, first, first + read[b], 1f / read[b]);
            }
            sharesTensor.set(shares);
            Linear.backward(context, sharesTensor, null, stream, false, mean, null, null); // shares · stream
            Linear.forward(context, mean, rowsWeight, null, false, logits);
            router.forward(pass, logits, gates);
            Mixture.vectorsForward(context, ones, gates, prompts.value(), false, mixed);
            TensorOps.copy(context, mixedRows, input);
        }

        void backward(Pass pass) {
            if (trainable()) {
                Context context = pass.context();
                TensorOps.copy(context, gradient, mixedRows);
                Mixture.vectorsBackward(context, mixed, ones, gates, prompts.value(), null, dgates, prompts.gradient());
                router.backward(pass, logits, gates, dgates);
                Linear.backward(context, dgates, mean, rowsWeight, false, null, rows.gradient(), null);
            }
        }
    }
}
