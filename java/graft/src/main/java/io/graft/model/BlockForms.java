package io.graft.model;

import io.graft.io.DecoderDesign;
import io.graft.io.DecoderDesign.Part;
import io.graft.io.LlamaConfig;
import io.graft.io.ModuleNames;
import io.graft.nn.BlockForm;
import io.graft.nn.BlockShape;
import io.graft.nn.Norm;
import io.graft.nn.RotaryEmbedding;
import io.graft.ops.Rope;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/** What a configuration's design comes to in the terms of {@code io.graft.nn}: sizes, parts and frequencies of blocks. */
final class BlockForms {
    private BlockForms() {}

    static BlockShape shape(LlamaConfig config) {
        return new BlockShape(
                config.hiddenSize(),
                config.intermediateSize(),
                config.heads(),
                config.kvHeads(),
                config.headDim(),
                config.rmsNormEps(),
                config.attentionScale());
    }

    /** What embeddings are multiplied with. */
    static double embeddingScale(LlamaConfig config) {
        return config.design().has(Part.SCALED_EMBEDDINGS) ? Math.sqrt(config.hiddenSize()) : 1;
    }

    /** What the block of a layer is made of. */
    static BlockForm form(LlamaConfig config, int layer) {
        DecoderDesign design = config.design();
        ModuleNames names = design.architecture().names();
        return new BlockForm(
                new BlockForm.Names(
                        names.attentionNorm(),
                        names.q(),
                        names.k(),
                        names.v(),
                        names.o(),
                        names.attentionPostNorm(),
                        names.mlpNorm(),
                        names.gate(),
                        names.up(),
                        names.down(),
                        names.mlpPostNorm()),
                design.has(Part.INPUT_BIASES),
                design.has(Part.OUTPUT_BIAS),
                design.has(Part.MLP_BIASES),
                design.has(Part.HEAD_NORMS),
                design.has(Part.LAYER_NORMS)
                        ? Norm.Kind.LAYER
                        : design.has(Part.SHIFTED_NORMS) ? Norm.Kind.SHIFTED_RMS : Norm.Kind.RMS,
                function(design),
                design.has(Part.LEARNED_POSITIONS)
                        ? BlockForm.Rotary.NONE
                        : design.has(Part.ROTARY_PAIRS) ? BlockForm.Rotary.PAIRS : BlockForm.Rotary.HALVES,
                design.has(Part.GROUPED_QVK) ? 4 : 1,
                design.has(Part.FUSED_GATE),
                design.window(layer),
                design.scores().cap(),
                design.window(layer) > 0 && design.scores().windowTheta() > 0 ? 1 : 0);
    }

    private static BlockForm.Function function(DecoderDesign design) {
        boolean gate = design.architecture().names().gate() != null || design.has(Part.FUSED_GATE);
        if (design.has(Part.ERF_GELU)) {
            return BlockForm.Function.ERF_GELU;
        }
        return gate && !design.has(Part.GELU_GATE) ? BlockForm.Function.SILU : BlockForm.Function.GELU;
    }

    /**
     * The rotary embedding, scaled as the configuration says, and where layers with a window have another also theirs; a null
     * where heads are not turned.
     */
    static RotaryEmbedding[] rotary(Scope scope, LlamaConfig config) {
        if (config.design().has(Part.LEARNED_POSITIONS)) {
            return new RotaryEmbedding[] {null};
        }
        RotaryEmbedding all = rotary(scope, config, config.ropeTheta(), config.ropeScaling());
        double windowTheta = config.design().scores().windowTheta();
        return windowTheta == 0
                ? new RotaryEmbedding[] {all}
                : new RotaryEmbedding[] {all, rotary(scope, config, windowTheta, null)};
    }

    private static RotaryEmbedding rotary(
            Scope scope, LlamaConfig config, double theta, LlamaConfig.RopeScaling scaling) {
        Tensor frequencies = scope.tensor(Memory.BASE, DType.F32, config.rotaryWidth() / 2);
        Context context = scope.context();
        if (scaling == null) {
            Rope.frequencies(context, theta, Rope.Scaling.NONE, 0, 0, 0, 0, frequencies);
        } else {
            Rope.frequencies(
                    context,
                    theta,
                    scaling.kind(),
                    scaling.factor(),
                    scaling.low(),
                    scaling.high(),
                    scaling.originalPositions(),
                    frequencies);
        }
        return new RotaryEmbedding(frequencies, scaling == null ? 1 : scaling.attentionFactor());
    }
}
