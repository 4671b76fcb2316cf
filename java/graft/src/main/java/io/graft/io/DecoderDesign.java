package io.graft.io;

import java.util.List;
import java.util.Set;

/**
 * What the blocks of a decoder are made of, as far as architectures differ.
 *
 * @param architecture whose design it is
 * @param parts what a Llama does not have
 * @param rotary how many numbers of a head are turned; 0: all
 * @param windows how many keys a query sees in each layer, itself included; 0: all before it. Empty: 0 for all layers
 */
public record DecoderDesign(Architecture architecture, Set<Part> parts, int rotary, List<Integer> windows) {
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
        HEAD_BIAS
    }

    public DecoderDesign {
        parts = Set.copyOf(parts);
        windows = windows.stream().anyMatch(window -> window > 0) ? List.copyOf(windows) : List.of();
    }

    static DecoderDesign of(Architecture architecture, Part... parts) {
        return new DecoderDesign(architecture, Set.of(parts), 0, List.of());
    }

    DecoderDesign withWindows(List<Integer> ofLayers) {
        return new DecoderDesign(architecture, parts, rotary, ofLayers);
    }

    DecoderDesign withRotary(int width) {
        return new DecoderDesign(architecture, parts, width, windows);
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
        return attention + mlp + (has(Part.PARALLEL) ? 1 : 2) * norm(hidden);
    }

    /** Numbers of a norm. */
    long norm(long hidden) {
        return has(Part.LAYER_NORMS) ? 2 * hidden : hidden;
    }
}
