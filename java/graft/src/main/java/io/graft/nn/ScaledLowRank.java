package io.graft.nn;

import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.List;

/**
 * A low-rank part of which one factor or both are products of their own, {@code A' = diag(d) A} and {@code B' = diag(b)
 * B}: the trained scales of VeRA, the singular values of AdaLoRA.
 *
 * @param low the part, over the products
 * @param scaled the products among its factors
 */
public record ScaledLowRank(LowRank low, List<ScaledRows> scaled) implements Attachment {
    @Override
    public int kept() {
        return low.kept();
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        low.forward(pass, weight, x, accumulate, y, kept);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        for (int i = 0; i < scaled.size(); i++) {
            scaled.get(i).zeroGradient();
        }
        low.backward(pass, weight, dy, x, kept, accumulate, dx);
        for (int i = 0; i < scaled.size(); i++) {
            scaled.get(i).handOn(pass.context());
        }
    }

    @Override
    public boolean trainable() {
        return low.trainable();
    }

    @Override
    public boolean readsInput() {
        return low.readsInput();
    }

    @Override
    public void write(Weight weight) {
        Context context = weight.scope().context();
        for (int i = 0; i < scaled.size(); i++) {
            scaled.get(i).make(context);
        }
        low.write(weight);
    }

    @Override
    public void merge(Weight weight) {
        low.merge(weight);
    }
}
