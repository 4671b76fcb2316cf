package io.graft.tensor;

/** What a block of memory is for: the rows of every memory report, in the order of {@code graft_memory_category}. */
public enum Memory {
    /** Frozen weights. */
    BASE,
    /** Trained parameters and their masters. */
    ADAPTER,
    /** Parameter gradients. */
    GRADIENT,
    /** Optimiser state. */
    OPTIMIZER,
    /** Inputs, outputs and what backward keeps. */
    ACTIVATION,
    /** Scratch of the arena. */
    WORKSPACE
}
