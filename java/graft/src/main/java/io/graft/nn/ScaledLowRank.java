package io.graft.nn;

import io.graft.ops.RowScale;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * VeRA: a low-rank part whose factors are fixed matrices with trained scales of their rows, {@code A' = diag(d) A} and
 * {@code B' = diag(b) B}. The products are made when the scales change.
 *
 * @param product A' and B', with gradients where the scales are trained
 * @param a A [r, in]
 * @param b B [out, r]
 * @param scaleA d [r]
 * @param scaleB b [out]
 */
public record ScaledLowRank(LowRank product, Tensor a, Tensor b, Parameter scaleA, Parameter scaleB)
        implements Attachment {
    @Override
    public int kept() {
        return product.kept();
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        product.forward(pass, weight, x, accumulate, y, kept);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        product.a().zeroGradient();
        product.b().zeroGradient();
        product.backward(pass, weight, dy, x, kept, accumulate, dx);
        if (trainable()) {
            Context context = pass.context();
            RowScale.backward(context, product.a().gradient(), a, scaleA.value(), null, scaleA.gradient());
            RowScale.backward(context, product.b().gradient(), b, scaleB.value(), null, scaleB.gradient());
        }
    }

    @Override
    public boolean trainable() {
        return scaleA.trainable();
    }

    @Override
    public boolean readsInput() {
        return product.readsInput();
    }

    @Override
    public void write(Weight weight) {
        Context context = weight.matrix().scope().context();
        RowScale.forward(context, a, scaleA.value(), product.a().value());
        RowScale.forward(context, b, scaleB.value(), product.b().value());
        product.write(weight);
    }

    @Override
    public void merge(Weight weight) {
        product.merge(weight);
    }
}
