package io.graft.nn;

import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * A low-rank part of which training passes see the first terms only, and all others everything (DyLoRA, arXiv 2210.07558).
 * Where W has a border, it holds what the last pass needed.
 */
public final class NestedLowRank implements Attachment {
    private final LowRank whole;
    private final DerivedLowRank first;
    private boolean packedFirst;

    /**
     * @param whole the part
     * @param first the same part with a factor for each term, 0 for those left out
     */
    public NestedLowRank(LowRank whole, DerivedLowRank first) {
        this.whole = whole;
        this.first = first;
    }

    @Override
    public int kept() {
        return first.kept();
    }

    @Override
    public void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept) {
        if (pass.training() != packedFirst) {
            packedFirst = pass.training();
            write(weight);
        }
        (packedFirst ? first : whole).forward(pass, weight, x, accumulate, y, kept);
    }

    @Override
    public void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx) {
        first.backward(pass, weight, dy, x, kept, accumulate, dx);
    }

    @Override
    public boolean trainable() {
        return whole.trainable();
    }

    @Override
    public boolean readsInput() {
        return whole.readsInput();
    }

    @Override
    public void write(Weight weight) {
        (packedFirst ? first : whole).write(weight);
    }

    @Override
    public void merge(Weight weight) {
        whole.merge(weight);
    }
}
