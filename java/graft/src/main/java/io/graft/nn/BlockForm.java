package io.graft.nn;

/**
 * What a block is made of, beside its sizes.
 *
 * @param inputBiases whether q, k and v have biases
 * @param headNorms whether each head of q and k goes through an RMS norm before it is turned
 * @param window how many keys a query sees, itself included; 0: all before it
 */
public record BlockForm(boolean inputBiases, boolean headNorms, int window) {
    /** A block of a Llama. */
    public static final BlockForm PLAIN = new BlockForm(false, false, 0);
}
