package io.graft.nn;

import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** What an adapter changes about a projection: how forward and backward run, and which parameters are trained. */
public interface Attachment {
    /** Columns of what forward keeps for backward, of x's dtype. */
    default int kept() {
        return 0;
    }

    /**
     * Told of the layer's own bias [out], before all else: whether forward adds it. If not, it adds to what forward makes,
     * which is right for whatever does not read the layer's output.
     *
     * @throws IllegalArgumentException if the attachment does not serve layers with a bias
     */
    default boolean takes(Tensor bias) {
        return false;
    }

    /** y = layer(x), or y += layer(x). kept [T, kept()]: null in inference. */
    void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept);

    /** dx = gradient of x (added to when accumulate), null where not wanted; parameter gradients are added to. */
    void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx);

    boolean trainable();

    /** Whether backward reads x, beside what forward kept. */
    default boolean readsInput() {
        return trainable();
    }

    /** Brings the weight in line with the parameters: call after each change of them. */
    default void write(Weight weight) {}

    /** Whether the layer without it is the base's; not where it trains W, or the tables of its codes, in place. */
    default boolean removable() {
        return true;
    }

    /**
     * Makes the change part of W.
     *
     * @throws UnsupportedOperationException if W has no place for it
     */
    default void merge(Weight weight) {
        throw new UnsupportedOperationException(
                getClass().getSimpleName() + ".merge: what it does is in no weight; keep the adapter beside the model");
    }
}
