package io.graft.nn;

import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * The places of q, k and v [T, width] in the rows of a projection that makes all three [T, query + 2 key width]: one after
 * the other, or in groups of heads, each q, v, k.
 */
final class FusedHeads {
    private final List<Tensor> together = new ArrayList<>();
    private final List<Tensor> apart = new ArrayList<>();
    private final Tensor fused;
    private long next;

    FusedHeads(Tensor fused, Tensor q, Tensor k, Tensor v, int groups) {
        this.fused = fused;
        for (int group = 0; group < groups; group++) {
            place(q, group, groups);
            place(groups == 1 ? k : v, group, groups);
            place(groups == 1 ? v : k, group, groups);
        }
    }

    private void place(Tensor part, int group, int groups) {
        long width = part.size(1) / groups;
        together.add(fused.columns(next, next + width));
        apart.add(part.columns(group * width, (group + 1) * width));
        next += width;
    }

    /** From the projection's rows to q, k and v. */
    void spread(Context context) {
        for (int i = 0; i < apart.size(); i++) {
            TensorOps.copy(context, together.get(i), apart.get(i));
        }
    }

    /** From q, k and v to the projection's rows. */
    void gather(Context context) {
        for (int i = 0; i < apart.size(); i++) {
            TensorOps.copy(context, apart.get(i), together.get(i));
        }
    }
}
