package io.graft.nn;

import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** What an adapter changes about a projection: how forward and backward run, and which parameters are trained. */
public interface Attachment {
    /** Columns of what forward keeps for backward, of x's dtype. */
    int kept();

    /** y = layer(x), or y += layer(x). kept [T, kept()]: null in inference. */
    void forward(Pass pass, Weight weight, Tensor x, boolean accumulate, Tensor y, Tensor kept);

    /** dx = gradient of x (added to when accumulate), null where not wanted; parameter gradients are added to. */
    void backward(Pass pass, Weight weight, Tensor dy, Tensor x, Tensor kept, boolean accumulate, Tensor dx);

    boolean trainable();

    /** Whether backward reads x, beside what forward kept. */
    boolean readsInput();

    /** Brings the weight in line with the parameters: call after each change of them. */
    void write(Weight weight);

    /** Whether the layer without it is the base's; not where it trains W, or the tables of its codes, in place. */
    default boolean removable() {
        return true;
    }

    /** Makes the change part of W. */
    void merge(Weight weight);
}
