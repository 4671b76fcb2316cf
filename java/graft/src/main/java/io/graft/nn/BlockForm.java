package io.graft.nn;

/**
 * What a block is made of, beside its sizes.
 *
 * @param names paths of its modules
 * @param inputBiases whether q, k and v have biases
 * @param outputBias whether o has one
 * @param mlpBiases whether the layers of the MLP have biases
 * @param headNorms whether each head of q and k goes through an RMS norm before it is turned
 * @param norm which norm stands before either half
 * @param rotary how heads of q and k are turned by their position
 * @param fusedGroups of heads in a projection that makes q, k and v: 1 is q, k, v; each of more is q, v, k
 * @param fusedGate whether the MLP's up makes its gate too, before itself
 * @param window how many keys a query sees, itself included; 0: all before it
 */
public record BlockForm(
        Names names,
        boolean inputBiases,
        boolean outputBias,
        boolean mlpBiases,
        boolean headNorms,
        Norm.Kind norm,
        Rotary rotary,
        int fusedGroups,
        boolean fusedGate,
        int window) {
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
     * @param mlpNorm null where attention and MLP stand side by side on one norm
     * @param gate the MLP's gate; null: up makes it too, or there is none and the layers are up, GELU and down
     */
    public record Names(
            String attentionNorm,
            String q,
            String k,
            String v,
            String o,
            String mlpNorm,
            String gate,
            String up,
            String down) {}

    /** A block of a Llama. */
    public static final BlockForm PLAIN = new BlockForm(
            new Names(
                    "input_layernorm",
                    "self_attn.q_proj",
                    "self_attn.k_proj",
                    "self_attn.v_proj",
                    "self_attn.o_proj",
                    "post_attention_layernorm",
                    "mlp.gate_proj",
                    "mlp.up_proj",
                    "mlp.down_proj"),
            false,
            false,
            false,
            false,
            Norm.Kind.RMS,
            Rotary.HALVES,
            1,
            false,
            0);
}
