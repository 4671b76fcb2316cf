package io.graft.io;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * What the blocks of a decoder are made of, as far as architectures differ.
 *
 * @param architecture whose design it is
 * @param parts what a Llama does not have
 * @param rotary how many numbers of a head are turned; 0: all
 * @param windows how many keys a query sees in each layer, itself included; 0: all before it. Empty: 0 for all layers
 * @param scores how scores and logits are scaled and capped
 */
public record DecoderDesign(
        Architecture architecture, Set<Part> parts, int rotary, List<Integer> windows, Scores scores) {
    /**
     * Numbers that scores of attention and logits go through.
     *
     * @param divisor scores are divided by its square root; 0: the width of a head
     * @param cap what scores are softly capped at: c becomes cap · tanh(c / cap); 0: nothing
     * @param logitCap likewise of logits
     * @param windowTheta base of the rotary embedding in layers with a window; 0: that of the others
     */
    public record Scores(double divisor, double cap, double logitCap, double windowTheta) {
        static final Scores PLAIN = new Scores(0, 0, 0, 0);
    }

    /** A part that some architectures have. */
    public enum Part {
        /** Biases of q, k and v. */
        INPUT_BIASES,
        /** A bias of the projection behind attention. */
        OUTPUT_BIAS,
        /** Biases of the layers of the MLP. */
        MLP_BIASES,
        /** An RMS norm of each head of q and k, before it is turned. */
        HEAD_NORMS,
        /** Layer norms with a bias, instead of RMS norms. */
        LAYER_NORMS,
        /** A trained vector for each position, added to the embeddings, instead of turned heads. */
        LEARNED_POSITIONS,
        /** Heads are turned in pairs of neighbours, instead of one of each half. */
        ROTARY_PAIRS,
        /** The projection that makes q, k and v has four groups of heads, each q, v, k. */
        GROUPED_QVK,
        /** Attention and MLP read the same norm and are added together. */
        PARALLEL,
        /** One layer makes gate and up of the MLP. */
        FUSED_GATE,
        /** A bias of the head. */
        HEAD_BIAS,
        /** RMS norms multiply by 1 + their weight. */
        SHIFTED_NORMS,
        /** What attention and what the MLP make goes through a norm before it is added. */
        POST_NORMS,
        /** Embeddings are multiplied with the square root of their width. */
        SCALED_EMBEDDINGS,
        /** The MLP's gate goes through GELU. */
        GELU_GATE,
        /** GELU by the error function. */
        ERF_GELU
    }

    public DecoderDesign {
        parts = Set.copyOf(parts);
        windows = windows.stream().anyMatch(window -> window > 0) ? List.copyOf(windows) : List.of();
    }

    static DecoderDesign of(Architecture architecture, Part... parts) {
        return new DecoderDesign(architecture, Set.of(parts), 0, List.of(), Scores.PLAIN);
    }

    DecoderDesign withWindows(List<Integer> ofLayers) {
        return new DecoderDesign(architecture, parts, rotary, ofLayers, scores);
    }

    DecoderDesign withRotary(int width) {
        return new DecoderDesign(architecture, parts, width, windows, scores);
    }

    DecoderDesign withScores(Scores values) {
        return new DecoderDesign(architecture, parts, rotary, windows, values);
    }

    DecoderDesign with(Part part) {
        Set<Part> more = EnumSet.of(part);
        more.addAll(parts);
        return new DecoderDesign(architecture, more, rotary, windows, scores);
    }

    public boolean has(Part part) {
        return parts.contains(part);
    }

    /** How many keys a query of this layer sees; 0: all before it. */
    public int window(int layer) {
        return windows.isEmpty() ? 0 : windows.get(layer);
    }

    /** The window of the layers that have one, 0 where none has. */
    int window() {
        return windows.stream().mapToInt(Integer::intValue).max().orElse(0);
    }

    /** Numbers of a block of these sizes. */
    long parameters(long hidden, long intermediate, long queryWidth, long keyWidth, long headDim) {
        long attention = 2 * hidden * (queryWidth + keyWidth);
        attention += has(Part.INPUT_BIASES) ? queryWidth + 2 * keyWidth : 0;
        attention += has(Part.OUTPUT_BIAS) ? hidden : 0;
        attention += has(Part.HEAD_NORMS) ? 2 * headDim : 0;
        long inner = architecture.names().gate() == null && !has(Part.FUSED_GATE) ? 1 : 2;
        long mlp = (inner + 1) * hidden * intermediate;
        mlp += has(Part.MLP_BIASES) ? inner * intermediate + hidden : 0;
        return attention + mlp + (has(Part.PARALLEL) ? 1 : has(Part.POST_NORMS) ? 4 : 2) * norm(hidden);
    }

    /** Numbers of a norm. */
    long norm(long hidden) {
        return has(Part.LAYER_NORMS) ? 2 * hidden : hidden;
    }
}
