package io.graft.nn;

import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** The places of q, k and v [T, width] in the rows of a projection that makes all three [T, query + 2 key width]. */
final class FusedHeads {
    private final Tensor[] together;
    private final Tensor[] apart;

    FusedHeads(Tensor fused, Tensor q, Tensor k, Tensor v) {
        long keys = q.size(1);
        long values = keys + k.size(1);
        together = new Tensor[] {
            fused.columns(0, keys), fused.columns(keys, values), fused.columns(values, values + v.size(1))
        };
        apart = new Tensor[] {q, k, v};
    }

    /** From the projection's rows to q, k and v. */
    void spread(Context context) {
        for (int i = 0; i < apart.length; i++) {
            TensorOps.copy(context, together[i], apart[i]);
        }
    }

    /** From q, k and v to the projection's rows. */
    void gather(Context context) {
        for (int i = 0; i < apart.length; i++) {
            TensorOps.copy(context, apart[i], together[i]);
        }
    }
}
