package io.graft.adapter;

/** What PaCA chooses other columns by while it trains, out of all columns of the layer as it is then. */
public enum Reselection {
    /** By chance, from the seed and the step. */
    RANDOM,
    /** The largest 2-norm of the weight. */
    NORM,
    /** The largest 2-norm of the gradient, squared and added up over the batches of the step before the choice. */
    GRADIENT
}
