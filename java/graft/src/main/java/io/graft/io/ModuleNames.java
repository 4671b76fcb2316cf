package io.graft.io;

/**
 * Paths of an architecture's modules in a checkpoint; those inside a block behind {@code <layers>.<number>.}.
 *
 * @param positions the table of positions; null where there is none
 * @param layers what holds the blocks
 * @param norm the last norm
 * @param q the query projection, or the one that makes keys and values too: k and v then are null
 * @param attentionPostNorm of what attention makes, before it is added; null where there is none
 * @param mlpNorm null where the MLP reads the norm of attention
 * @param gate null in an MLP without a gate, and where up makes it too
 * @param mlpPostNorm of what the MLP makes, before it is added; null where there is none
 */
public record ModuleNames(
        String embedding,
        String positions,
        String layers,
        String norm,
        String head,
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
        String mlpPostNorm) {
    static final ModuleNames LLAMA = new ModuleNames(
            "model.embed_tokens",
            null,
            "model.layers",
            "model.norm",
            "lm_head",
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
            null);

    /** The last name of a path. */
    static String last(String path) {
        return path.substring(path.lastIndexOf('.') + 1);
    }

    /** The last name or, where attention has one too that might be it, the path. */
    static String ending(String path) {
        return last(path).equals("c_proj") ? path : last(path);
    }

    /** The same with all that is in {@code model} in another module. */
    ModuleNames below(String module) {
        return new ModuleNames(
                module + embedding.substring("model".length()),
                positions,
                module + layers.substring("model".length()),
                module + norm.substring("model".length()),
                head,
                attentionNorm,
                q,
                k,
                v,
                o,
                attentionPostNorm,
                mlpNorm,
                gate,
                up,
                down,
                mlpPostNorm);
    }

    /** The same with an MLP of two layers. */
    ModuleNames withMlp(String first, String second) {
        return new ModuleNames(
                embedding,
                positions,
                layers,
                norm,
                head,
                attentionNorm,
                q,
                k,
                v,
                o,
                attentionPostNorm,
                mlpNorm,
                null,
                first,
                second,
                mlpPostNorm);
    }

    /** The same with norms behind attention, before the MLP and behind it. */
    ModuleNames withNorms(String behindAttention, String beforeMlp, String behindMlp) {
        return new ModuleNames(
                embedding,
                positions,
                layers,
                norm,
                head,
                attentionNorm,
                q,
                k,
                v,
                o,
                behindAttention,
                beforeMlp,
                gate,
                up,
                down,
                behindMlp);
    }
}
