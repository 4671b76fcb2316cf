package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A layer whose weight is {@code W₀ + λ c P θ} for a random map P of its own and a vector θ that all layers share
 * (intrinsic dimension, arXiv 2012.13255, section 3). W itself holds the sum, so that forward and dx are the plain layer's;
 * backward makes the weight's gradient in memory that all layers of a shape share, and keeps Pᵀ of it.
 */
public final class IntrinsicWeight implements Attachment {
    private final Parameter theta;
    private final Parameter scales;
    private final int index;
    private final double factor;
    private final Tensor original;
    private final Tensor work;
    private final SignProjection map;

    /**
     * @param theta θ [d] and scales λ [layers], in the dtype of masters
     * @param index of this layer's λ
     * @param factor c
     * @param original the base's W, of its dtype
     * @param work [n, k] in the dtype of masters
     * @param seed of P
     */
    public IntrinsicWeight(
            Parameter theta, Parameter scales, int index, double factor, Tensor original, Tensor work, long seed) {
        this.theta = theta;
        this.scales = scales;
        this.index = index;
        this.factor = factor;
        this.original = original;
        this.work = work;
        this.map = new SignProjection(seed, work.size(0), work.size(1));
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Linear.forward(pass.context(), x, weight, null, accumulate, y);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        Context context = pass.context();
        if (!trainable()) {
            if (dx != null) {
                Linear.backward(context, dy, null, weight, accumulate, dx, null, null);
            }
            return;
        }
        TensorOps.fill(context, 0, work);
        Linear.backward(context, dy, x, weight, accumulate, dx, work, null);
        double[] now = theta.value().doubles();
        double[] lambdas = scales.value().doubles();
        double[] sum = new double[now.length];
        map.gather(work, sum);
        double[] dtheta = theta.gradient().doubles();
        double[] dlambdas = scales.gradient().doubles();
        for (int i = 0; i < sum.length; i++) {
            dtheta[i] += factor * lambdas[index] * sum[i];
            dlambdas[index] += factor * now[i] * sum[i];
        }
        theta.gradient().set(dtheta);
        scales.gradient().set(dlambdas);
    }

    @Override
    public boolean trainable() {
        return theta.trainable();
    }

    @Override
    public boolean removable() {
        return false;
    }

    @Override
    public void write(Weight weight) {
        map.expand(theta.value().doubles(), factor * scales.value().doubles()[index], work);
        Context context = work.scope().context();
        TensorOps.copy(context, original, weight.matrix());
        TensorOps.add(context, work, weight.matrix());
    }

    /** W holds the sum already. */
    @Override
    public void merge(Weight weight) {
        write(weight);
    }
}
