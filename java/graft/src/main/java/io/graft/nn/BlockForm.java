package io.graft.nn;

/**
 * What a block is made of, beside its sizes.
 *
 * @param names paths of its modules
 * @param inputBiases whether q, k and v have biases
 * @param outputBias whether o has one
 * @param mlpBiases whether the layers of the MLP have biases
 * @param headNorms whether each head of q and k goes through an RMS norm before it is turned
 * @param norm which norm stands before either half, and behind it where it has one there
 * @param function what stands between the layers of the MLP
 * @param rotary how heads of q and k are turned by their position
 * @param fusedGroups of heads in a projection that makes q, k and v: 1 is q, k, v; each of more is q, v, k
 * @param fusedGate whether the MLP's up makes its gate too, before itself
 * @param window how many keys a query sees, itself included; 0: all before it
 * @param scoreCap what scores are softly capped at; 0: nothing
 * @param frequencies which of the pass's rotary embeddings turns its heads
 */
public record BlockForm(
        Names names,
        boolean inputBiases,
        boolean outputBias,
        boolean mlpBiases,
        boolean headNorms,
        Norm.Kind norm,
        Function function,
        Rotary rotary,
        int fusedGroups,
        boolean fusedGate,
        int window,
        double scoreCap,
        int frequencies) {
    /** Of the gate or, without a gate, of what the first layer makes. */
    public enum Function {
        SILU,
        /** GELU by a hyperbolic tangent. */
        GELU,
        /** GELU by the error function; not of a gate. */
        ERF_GELU
    }

    /** Which numbers of a head are turned together. */
    public enum Rotary {
        /** None. */
        NONE,
        /** One of the first half and one of the second. */
        HALVES,
        /** Neighbours. */
        PAIRS
    }

    /**
     * Paths inside a block.
     *
     * @param q the query projection, or the one that makes keys and values too: k and v then are null
     * @param attentionPostNorm of what attention makes, before it is added; null: none
     * @param mlpPostNorm likewise
     * @param mlpNorm null where attention and MLP stand side by side on one norm
     * @param gate the MLP's gate; null: up makes it too, or there is none and the layers are up and down
     */
    public record Names(
            String attentionNorm,
            String q,
            String k,
            String v,
            String o,
            String attentionPostNorm,
            String mlpNorm,
            String gate,
            String up,
            String down,
            String mlpPostNorm) {}

    /** A block of a Llama. */
    public static final BlockForm PLAIN = new BlockForm(
            new Names(
                    "input_layernorm",
                    "self_attn.q_proj",
                    "self_attn.k_proj",
                    "self_attn.v_proj",
                    "self_attn.o_proj",
                    null,
                    "post_attention_layernorm",
                    "mlp.gate_proj",
                    "mlp.up_proj",
                    "mlp.down_proj",
                    null),
            false,
            false,
            false,
            false,
            Norm.Kind.RMS,
            Function.SILU,
            Rotary.HALVES,
            1,
            false,
            0,
            0,
            0);
}
