package io.graft.nn;

import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.List;

/**
 * A low-rank part of which one factor or both are made of trained parts, such as {@code A' = diag(d) A} of VeRA's scales
 * and AdaLoRA's singular values.
 *
 * @param low the part, over what is made
 * @param derived what makes its factors
 */
public record DerivedLowRank(LowRank low, List<? extends DerivedMatrix> derived) implements Attachment {
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
        for (int i = 0; i < derived.size(); i++) {
            derived.get(i).zeroGradient();
        }
        low.backward(pass, weight, dy, x, kept, accumulate, dx);
        for (int i = 0; i < derived.size(); i++) {
            derived.get(i).handOn(pass.context());
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
        for (int i = 0; i < derived.size(); i++) {
            derived.get(i).make(context);
        }
        low.write(weight);
    }

    @Override
    public void merge(Weight weight) {
        low.merge(weight);
    }
}
