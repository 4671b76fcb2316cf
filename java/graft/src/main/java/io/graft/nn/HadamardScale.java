package io.graft.nn;

import io.graft.ops.Hira;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A low-rank matrix that scales a projection's weight element by element, {@code y = x (W ⊙ (1 + B A))ᵀ} (HiRA), and
 * perhaps another that is added to it (GLoRA). Neither is made whole, and backward needs x and nothing else.
 */
public final class HadamardScale implements Attachment {
    private final Parameter a;
    private final Parameter b;
    private final KroneckerSum shift;

    private HadamardScale(Parameter a, Parameter b, KroneckerSum shift) {
        this.a = a;
        this.b = b;
        this.shift = shift;
    }

    /**
     * @param a [r, in]
     * @param b [out, r]
     */
    public static HadamardScale of(Parameter a, Parameter b) {
        return new HadamardScale(a, b, null);
    }

    /** With {@code shiftB shiftA} of the same shapes added to the weight. */
    public static HadamardScale withShift(Scope scope, Parameter a, Parameter b, Parameter shiftA, Parameter shiftB) {
        return new HadamardScale(a, b, KroneckerSum.lowRank(scope, shiftB, shiftA, 1));
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Hira.forward(pass.context(), x, weight, a.value(), b.value(), accumulate, y);
        if (shift != null) {
            shift.forward(pass.context(), x, true, y);
        }
    }

    @Override
    public boolean takes(Tensor bias) {
        if (shift != null) {
            throw new IllegalArgumentException("HadamardScale: a scale with a shift would change the layer's bias too,"
                    + " which is not supported; leave layers with a bias out of the targets");
        }
        return false;
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        if (dx == null && !trainable()) {
            return;
        }
        Context context = pass.context();
        Tensor input = trainable() ? x : null;
        Hira.backward(context, dy, input, weight, a.value(), b.value(), accumulate, dx, a.gradient(), b.gradient());
        if (shift != null) {
            shift.backward(context, dy, input, true, dx);
        }
    }

    @Override
    public boolean trainable() {
        return b.trainable();
    }

    @Override
    public void merge(Weight weight) {
        Hira.merge(weight.scope().context(), weight, a.value(), b.value(), weight.matrix());
        if (shift != null) {
            shift.merge(weight);
        }
    }
}
