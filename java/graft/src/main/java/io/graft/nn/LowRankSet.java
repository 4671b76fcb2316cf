package io.graft.nn;

import io.graft.ops.LoraSegments;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * The low-rank parts of several adapters on one projection, of which the rows of each sequence use one, or none
 * ({@link Pass#adapter}). Factors and gradients of all lie side by side.
 *
 * @param ranks i32, one for each adapter; 0: it leaves this projection alone
 * @param scales f64, alpha / r or alpha / √r
 * @param a A of all [R, in]
 * @param b B of all [out, R]
 * @param da gradient of a, null where no adapter is trained
 * @param db gradient of b
 * @param kept the largest rank
 * @param dropout probability that an input of A is dropped in training
 * @param dropoutKey what tells this projection's dropout masks from those of its neighbours
 */
public record LowRankSet(
        Tensor ranks,
        Tensor scales,
        Tensor a,
        Tensor b,
        Tensor da,
        Tensor db,
        int kept,
        double dropout,
        long dropoutKey)
        implements Attachment {
    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor keep) {
        LoraSegments.forward(
                pass.context(),
                x,
                weight,
                pass.segments(),
                ranks,
                scales,
                a,
                b,
                null,
                pass.training() ? dropout : 0,
                pass.dropoutSeed() ^ dropoutKey,
                pass.dropoutOffset(),
                accumulate,
                y,
                keep);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor keep, boolean accumulate, Tensor dx) {
        if (dx != null || trainable()) {
            LoraSegments.backward(
                    pass.context(),
                    dy,
                    x,
                    keep,
                    weight,
                    pass.segments(),
                    ranks,
                    scales,
                    a,
                    b,
                    pass.training() ? dropout : 0,
                    pass.dropoutSeed() ^ dropoutKey,
                    pass.dropoutOffset(),
                    accumulate,
                    dx,
                    da,
                    db,
                    null);
        }
    }

    @Override
    public boolean trainable() {
        return da != null;
    }
}
