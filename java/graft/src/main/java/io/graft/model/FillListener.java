package io.graft.model;

/** Is told how far a model is that is being loaded or made, in the thread that does it. */
@FunctionalInterface
public interface FillListener {
    /** So many of all tensors were read, or made at random, and quantised where they are to be. */
    void filled(int tensors, int all);
}
