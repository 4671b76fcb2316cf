package io.graft.nn;

import io.graft.tensor.Tensor;

/** An attachment that adds scale · D to the columns I of a projection's weight. */
public interface TrainedColumns extends Attachment {
    /** D [out, r]. */
    Parameter delta();

    /** I [r], different from each other, in any order. */
    Tensor indices();

    /** alpha / r. */
    double scale();
}
