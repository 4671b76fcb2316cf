package io.graft.nn;

import io.graft.tensor.Context;
import io.graft.tensor.OnHost;
import io.graft.tensor.Tensor;
import java.nio.FloatBuffer;
import java.util.List;

/**
 * A matrix that others share, of which this one sees a part, {@code product = prototype ∘ m} (ProPETL, arXiv 2210.17451, section
 * 3.2): m is 1 at the entries with the largest |scores|, a share of all, else 0. Scores learn as if the product were prototype ∘
 * |scores| (straight through the choice).
 */
public final class MaskedMatrix implements DerivedMatrix {
    private static final int BLOCK = 2048;

    private final Parameter product;
    private final Parameter prototype;
    private final Parameter scores;
    private final long kept;
    private final float[][] blocks = new float[4][BLOCK];
    private float least;

    /**
     * @param product fp32, as the others
     * @param share of the entries that the mask keeps
     * @param gradients where the product's gradient is lent from
     * @param use what tells this matrix's gradient from that of others of one layer
     */
    public MaskedMatrix(
            Parameter product,
            Parameter prototype,
            Parameter scores,
            double share,
            SharedGradients gradients,
            String use) {
        this.product = product;
        this.prototype = prototype;
        this.scores = scores;
        Tensor value = product.value();
        this.kept = (long) Math.ceil(share * value.elements());
        if (prototype.trainable()) {
            product.withGradient(gradients.get(use, value.dtype(), value.size(0), value.size(1)));
        }
    }

    /** The matrix, with a gradient where its parts are trained. */
    public Parameter product() {
        return product;
    }

    @Override
    public void make(Context context) {
        least = LargestEntries.of(List.of(scores.value()), kept).least();
        try (OnHost p = OnHost.reading(prototype.value());
                OnHost s = OnHost.reading(scores.value());
                OnHost out = OnHost.writing(product.value())) {
            mask(p.floats(), s.floats(), out.floats());
        }
    }

    private void mask(FloatBuffer p, FloatBuffer s, FloatBuffer out) {
        for (int first = 0; first < p.limit(); first += BLOCK) {
            int count = Math.min(BLOCK, p.limit() - first);
            p.get(first, blocks[0], 0, count);
            s.get(first, blocks[1], 0, count);
            for (int i = 0; i < count; i++) {
                blocks[0][i] = Math.abs(blocks[1][i]) >= least ? blocks[0][i] : 0;
            }
            out.put(first, blocks[0], 0, count);
        }
    }

    @Override
    public void zeroGradient() {
        product.zeroGradient();
    }

    @Override
    public void handOn(Context context) {
        if (!product.trainable()) {
            return;
        }
        try (OnHost g = OnHost.reading(product.gradient());
                OnHost p = OnHost.reading(prototype.value());
                OnHost s = OnHost.reading(scores.value());
                OnHost toPrototype = OnHost.updating(prototype.gradient());
                OnHost toScores = OnHost.updating(scores.gradient())) {
            handOn(g.floats(), p.floats(), s.floats(), toPrototype.floats(), toScores.floats());
        }
    }

    private void handOn(FloatBuffer g, FloatBuffer p, FloatBuffer s, FloatBuffer toPrototype, FloatBuffer toScores) {
        for (int first = 0; first < g.limit(); first += BLOCK) {
            int count = Math.min(BLOCK, g.limit() - first);
            g.get(first, blocks[0], 0, count);
            s.get(first, blocks[1], 0, count);
            toPrototype.get(first, blocks[2], 0, count);
            for (int i = 0; i < count; i++) {
                blocks[2][i] += Math.abs(blocks[1][i]) >= least ? blocks[0][i] : 0;
            }
            toPrototype.put(first, blocks[2], 0, count);
            p.get(first, blocks[2], 0, count);
            toScores.get(first, blocks[3], 0, count);
            for (int i = 0; i < count; i++) {
                blocks[3][i] += blocks[0][i] * blocks[2][i] * Math.signum(blocks[1][i]);
            }
            toScores.put(first, blocks[3], 0, count);
        }
    }
}
