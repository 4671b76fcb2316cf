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
    QUANTISATION_ERROR,
    /**
     * A from the directions in which the layer's inputs vary most, B from zero; ranks go where such directions explain most
     * (EVA, arXiv 2410.07170, section 3).
     */
    ACTIVATIONS,
    /**
     * The directions that the first step of full fine-tuning would take; the base keeps the rest (LoRA-GA, arXiv
     * 2407.05000, section 3).
     */
    GRADIENT,
    /**
     * What of the base the inputs use most, to be changed; the base keeps the rest (CorDA, arXiv 2406.05223, section 3,
     * instruction-previewed).
     */
    COVARIANCE_LARGEST,
    /** What of the base the inputs use least, so that the rest of it is preserved (CorDA, knowledge-preserved). */
    COVARIANCE_SMALLEST;

    boolean movesBase() {
        return this == PRINCIPAL
                || this == ORTHOGONAL
                || this == GRADIENT
                || this == COVARIANCE_LARGEST
                || this == COVARIANCE_SMALLEST;
    }

    /** Whether examples have to be seen first. */
    boolean needsExamples() {
        return this == ACTIVATIONS || this == GRADIENT || this == COVARIANCE_LARGEST || this == COVARIANCE_SMALLEST;
    }
}
