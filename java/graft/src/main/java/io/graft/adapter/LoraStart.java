package io.graft.adapter;

/** What the factors of a fresh LoRA adapter start from. */
public enum LoraStart {
    /** From zero: what {@code init_lora_weights} of the configuration says. */
    ZERO,
    /** The base's largest singular values; the base keeps the rest (PiSSA, arXiv 2404.02948, section 3). */
    PRINCIPAL,
    /** An orthonormal basis of the base's first columns; the base keeps the rest (OLoRA, arXiv 2406.01775). */
    ORTHOGONAL,
    /**
     * The largest singular values of what quantisation took from the base: LoftQ (arXiv 2310.08659, algorithm 1) with one
     * alternation, after which the base is still the quantised checkpoint and nothing else.
     */
    QUANTISATION_ERROR;

    boolean movesBase() {
        return this == PRINCIPAL || this == ORTHOGONAL;
    }
}
