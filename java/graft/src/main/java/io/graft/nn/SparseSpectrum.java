package io.graft.nn;

import io.graft.ops.Fourier;
import io.graft.ops.Linear;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A matrix beside a projection that is given by a few entries of its spectrum (FourierFT). Backward needs x and nothing else.
 *
 * @param spectrum c [L]
 * @param places [2, L] of integers: rows above columns
 * @param scale what the matrix is multiplied by, beside 1 / (out · in)
 */
public record SparseSpectrum(Parameter spectrum, Tensor places, double scale) implements Attachment {

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        Linear.forward(pass.context(), x, weight, null, accumulate, y);
        Fourier.forward(pass.context(), x, spectrum.value(), places, scale, true, y);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        Context context = pass.context();
        if (dx != null) {
            Linear.backward(context, dy, null, weight, accumulate, dx, null, null);
        }
        if (dx != null || trainable()) {
            Fourier.backward(
                    context,
                    dy,
                    trainable() ? x : null,
                    spectrum.value(),
                    places,
                    scale,
                    weight.k(),
                    true,
                    dx,
                    spectrum.gradient());
        }
    }

    @Override
    public boolean trainable() {
        return spectrum.trainable();
    }

    @Override
    public void merge(Weight weight) {
        Fourier.merge(weight.scope().context(), weight, spectrum.value(), places, scale, weight.matrix());
    }
}
