package io.graft.io;

/** Which modules of a model an adapter changes, and which it trains whole. */
public interface ModuleSelection {
    /** Whether the module carries an adapter; meant to be asked for linear layers (and refuses none by itself). */
    boolean targets(String module);

    /** Whether the module is trained in full and saved whole, instead of with an adapter. */
    boolean saves(String module);

    /** Whether the target is "all-linear": every linear layer but the head, so that {@link #targets} knows no names. */
    boolean allLinear();
}
