package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.tensor.DType;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/** Reads a configuration: the fields that all architectures have, and forms of some that several have. */
final class LlamaConfigReader {
    private static final Map<String, DType> DTYPES =
            Map.of("float32", DType.F32, "bfloat16", DType.BF16, "float16", DType.F16, "float64", DType.F64);

    private final String file;
    private final JsonFields fields;

    LlamaConfigReader(String file, ObjectNode json) {
        this.file = file;
        this.fields = new JsonFields(file, json);
    }

    LlamaConfig read() {
        return Architecture.of(fields).read(this);
    }

    /**
     * The fields of every architecture.
     *
     * @param kvHeads what an absent {@code num_key_value_heads} stands for; 0: as many as heads
     * @param headDim what an absent {@code head_dim} stands for; 0: hidden size / heads
     * @param positions what an absent {@code max_position_embeddings} stands for
     */
    LlamaConfig decoder(int kvHeads, int headDim, int positions, DecoderDesign design) {
        String activation = fields.text("hidden_act", "silu");
        if (!activation.equals("silu")) {
            throw fields.refuse("hidden_act", "is '" + activation + "', supported is 'silu'");
        }
        if (fields.number("attention_dropout", 0) != 0) {
            throw fields.refuse("attention_dropout", "is not 0: dropout inside attention is not supported");
        }
        checkQuantization(fields.child("quantization_config"));
        int hidden = fields.positive("hidden_size");
        int heads = fields.positive("num_attention_heads");
        try {
            return new LlamaConfig(
                    fields.positive("vocab_size"),
                    hidden,
                    fields.positive("intermediate_size"),
                    layers(),
                    heads,
                    fields.positive("num_key_value_heads", kvHeads == 0 ? heads : kvHeads),
                    headDim == 0 ? headDim(hidden, heads) : fields.positive("head_dim", headDim),
                    fields.positive("max_position_embeddings", positions),
                    fields.number("rms_norm_eps", 1e-6),
                    ropeTheta(),
                    ropeScaling(),
                    fields.flag("tie_word_embeddings", false),
                    dtype(),
                    fields.integer("bos_token_id"),
                    fields.integers("eos_token_id"),
                    design);
        } catch (IllegalArgumentException e) {
            throw new FormatException(file, e.getMessage(), e);
        }
    }

    int layers() {
        return fields.positive("num_hidden_layers");
    }

    /** {@code sliding_window}; absent: this one; null: 0, none. */
    int window(int absent) {
        return fields.names().contains("sliding_window") ? fields.positive("sliding_window", 0) : absent;
    }

    /** The window of each layer as the Qwen family says it. */
    List<Integer> upperWindows() {
        return UpperWindows.read(fields, layers());
    }

    /** How layers are coded is read from their tensors; here only what they might be and Graft does not read. */
    private static void checkQuantization(JsonFields quantization) {
        String method = quantization == null ? LlamaConfig.SKETCH : quantization.text("quant_method", "none");
        boolean nf4 = method.equals("bitsandbytes")
                && quantization.flag("load_in_4bit", false)
                && quantization.text("bnb_4bit_quant_type", "fp4").equals("nf4");
        if (!nf4 && !method.equals(LlamaConfig.SKETCH)) {
            throw quantization.refuse(
                    "quant_method",
                    "is '" + method + "', supported are '" + LlamaConfig.SKETCH
                            + "' and 'bitsandbytes' with load_in_4bit and nf4");
        }
    }

    static String dtypeName(DType dtype) {
        for (Map.Entry<String, DType> entry : DTYPES.entrySet()) {
            if (entry.getValue() == dtype) {
                return entry.getKey();
            }
        }
        throw new IllegalArgumentException("weights cannot be stored as " + dtype);
    }

    private int headDim(int hidden, int heads) {
        if (!fields.has("head_dim") && hidden % heads != 0) {
            throw fields.refuse(
                    "hidden_size",
                    "is " + hidden + ", no multiple of num_attention_heads " + heads + ", without head_dim");
        }
        return fields.positive("head_dim", hidden / heads);
    }

    private DType dtype() {
        String field = fields.has("dtype") ? "dtype" : "torch_dtype";
        String name = fields.text(field, "float32");
        DType dtype = DTYPES.get(name);
        if (dtype == null) {
            throw fields.refuse(field, "is '" + name + "', expected one of " + new TreeSet<>(DTYPES.keySet()));
        }
        return dtype;
    }

    private double ropeTheta() {
        JsonFields rope = fields.child("rope_parameters");
        double outer = fields.number("rope_theta", 10000.0);
        return rope == null ? outer : rope.number("rope_theta", outer);
    }

    private LlamaConfig.RopeScaling ropeScaling() {
        String field = fields.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
        JsonFields rope = fields.child(field);
        if (rope == null) {
            return null;
        }
        // why: the first releases with rope_scaling called the key "type".
        String key = rope.has("rope_type") ? "rope_type" : "type";
        String type = rope.text(key, "default");
        if (rope.number("partial_rotary_factor", 1.0) != 1.0) {
            throw rope.refuse("partial_rotary_factor", "is not 1: rotary embedding of part of a head is not supported");
        }
        return switch (type) {
            case "default" -> null;
            case "llama3" ->
                new LlamaConfig.RopeScaling(
                        rope.number("factor"),
                        rope.number("low_freq_factor"),
                        rope.number("high_freq_factor"),
                        rope.positive("original_max_position_embeddings"));
            default -> throw rope.refuse(key, "is '" + type + "', supported are 'default' and 'llama3'");
        };
    }

    void refuseTrue(String field) {
        if (fields.flag(field, false)) {
            throw fields.refuse(field, "is true, which is not supported");
        }
    }
}
