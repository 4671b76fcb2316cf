package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.io.DecoderDesign.Part;
import java.util.Collections;

/**
 * StarCoder 2 (arXiv 2402.19173, section 7.1): layer norms, biases everywhere, an MLP of two layers with GELU between them,
 * keys and values that heads share, rotary embedding, and in every layer a window where the configuration has one.
 */
final class Starcoder2Architecture extends Architecture {
    Starcoder2Architecture() {
        super("starcoder2", "Starcoder2ForCausalLM", ModuleNames.LLAMA.withMlp("mlp.c_fc", "mlp.c_proj"));
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        reader.requireTrue("use_bias");
        LlamaConfigReader.Defaults defaults = LlamaConfigReader.Defaults.LLAMA
                .withKvHeads(2)
                .withPositions(4096)
                .withEpsilon("norm_epsilon", 1e-5)
                .withTiedEmbeddings()
                .withActivations("gelu_pytorch_tanh", "gelu_new", "gelu")
                .withDropout();
        DecoderDesign design =
                DecoderDesign.of(this, Part.INPUT_BIASES, Part.OUTPUT_BIAS, Part.MLP_BIASES, Part.LAYER_NORMS);
        return reader.decoder(defaults, design.withWindows(Collections.nCopies(reader.layers(), reader.window(0))));
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        json.put("hidden_act", config.design().has(Part.ERF_GELU) ? "gelu" : "gelu_pytorch_tanh")
                .put("initializer_range", 0.018042);
        json.put("norm_epsilon", config.rmsNormEps()).put("use_bias", true);
        json.put("embedding_dropout", 0.0).put("residual_dropout", 0.0);
        int window = config.design().window();
        json.set("sliding_window", window == 0 ? json.nullNode() : json.numberNode(window));
        if (config.headDim() * config.heads() != config.hiddenSize()) {
            json.put("head_dim", config.headDim());
        }
    }
}
