package io.graft.nn;

import io.graft.tensor.Context;

/** A matrix that is made of trained parts: again whenever they change, and its gradient is handed on to them. */
public interface DerivedMatrix {
    void make(Context context);

    void zeroGradient();

    /** Adds to the parts' gradients what the matrix's gradient comes to for them. */
    void handOn(Context context);
}
