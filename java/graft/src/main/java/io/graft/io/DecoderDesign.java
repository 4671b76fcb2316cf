package io.graft.io;

import java.util.List;

/**
 * What the blocks of a decoder are made of, as far as architectures differ.
 *
 * @param architecture whose design it is
 * @param inputBiases whether q, k and v have biases
 * @param headNorms whether each head of q and k goes through a norm before it is turned
 * @param windows how many keys a query sees in each layer, itself included; 0: all before it. Empty: 0 for all layers
 */
public record DecoderDesign(Architecture architecture, boolean inputBiases, boolean headNorms, List<Integer> windows) {
    public DecoderDesign {
        windows = List.copyOf(windows);
    }

    static DecoderDesign of(Architecture architecture) {
        return new DecoderDesign(architecture, false, false, List.of());
    }

    DecoderDesign withInputBiases() {
        return new DecoderDesign(architecture, true, headNorms, windows);
    }

    DecoderDesign withHeadNorms() {
        return new DecoderDesign(architecture, inputBiases, true, windows);
    }

    DecoderDesign withWindows(List<Integer> ofLayers) {
        boolean any = ofLayers.stream().anyMatch(window -> window > 0);
        return new DecoderDesign(architecture, inputBiases, headNorms, any ? ofLayers : List.of());
    }

    /** How many keys a query of this layer sees; 0: all before it. */
    public int window(int layer) {
        return windows.isEmpty() ? 0 : windows.get(layer);
    }

    /** The window of the layers that have one, 0 where none has. */
    int window() {
        return windows.stream().mapToInt(Integer::intValue).max().orElse(0);
    }
}
