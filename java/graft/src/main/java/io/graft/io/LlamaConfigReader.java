package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.io.DecoderDesign.Part;
import io.graft.ops.Rope;
import io.graft.tensor.DType;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** Reads a configuration: the fields that all architectures have, and forms of some that several have. */
final class LlamaConfigReader {
    private static final Map<String, DType> DTYPES =
            Map.of("float32", DType.F32, "bfloat16", DType.BF16, "float16", DType.F16, "float64", DType.F64);

    private static final String PARTIAL = "partial_rotary_factor";

    private final String file;
    private final JsonFields fields;

    LlamaConfigReader(String file, ObjectNode json) {
        this(file, new JsonFields(file, json));
    }

    private LlamaConfigReader(String file, JsonFields fields) {
        this.file = file;
        this.fields = fields;
    }

    /** A reader of the configuration in a field, which has become this object. */
    LlamaConfigReader inside(String field, ObjectNode json) {
        return new LlamaConfigReader(file, fields.inside(field, json));
    }

    ObjectNode json() {
        return fields.object();
    }

    LlamaConfig read() {
        return Architecture.of(fields).read(this);
    }

    /**
     * What absent fields stand for, and what fields may hold.
     *
     * @param own this architecture's names of fields that others call by the usual one
     * @param kvHeads of {@code num_key_value_heads}; 0: as many as heads
     * @param headDim of {@code head_dim}; 0: hidden size / heads
     * @param positions of {@code max_position_embeddings}
     * @param epsilonField the field of the norms' epsilon
     * @param epsilon of that field
     * @param tied of {@code tie_word_embeddings}
     * @param activations what {@code hidden_act} may be, the default first
     * @param dropout whether a dropout of the base model's own is read over: it is not computed
     */
    record Defaults(
            Map<String, String> own,
            int kvHeads,
            int headDim,
            int positions,
            String epsilonField,
            double epsilon,
            boolean tied,
            List<String> activations,
            boolean dropout) {
        static final Defaults LLAMA =
                new Defaults(Map.of(), 0, 0, 2048, "rms_norm_eps", 1e-6, false, List.of("silu"), false);

        Defaults withFields(Map<String, String> names) {
            return new Defaults(names, kvHeads, headDim, positions, epsilonField, epsilon, tied, activations, dropout);
        }

        Defaults withKvHeads(int count) {
            return new Defaults(own, count, headDim, positions, epsilonField, epsilon, tied, activations, dropout);
        }

        Defaults withHeadDim(int width) {
            return new Defaults(own, kvHeads, width, positions, epsilonField, epsilon, tied, activations, dropout);
        }

        Defaults withPositions(int count) {
            return new Defaults(own, kvHeads, headDim, count, epsilonField, epsilon, tied, activations, dropout);
        }

        Defaults withEpsilon(String field, double value) {
            return new Defaults(own, kvHeads, headDim, positions, field, value, tied, activations, dropout);
        }

        Defaults withTiedEmbeddings() {
            return new Defaults(own, kvHeads, headDim, positions, epsilonField, epsilon, true, activations, dropout);
        }

        Defaults withActivations(String... names) {
            return new Defaults(own, kvHeads, headDim, positions, epsilonField, epsilon, tied, List.of(names), dropout);
        }

        Defaults withDropout() {
            return new Defaults(own, kvHeads, headDim, positions, epsilonField, epsilon, tied, activations, true);
        }

        String field(String usual) {
            return own.getOrDefault(usual, usual);
        }
    }

    /** The fields of every architecture. */
    LlamaConfig decoder(Defaults defaults, DecoderDesign design) {
        return decoder(defaults, design, fields.child(ropeField()), 10000);
    }

    /**
     * As {@link #decoder(Defaults, DecoderDesign)}.
     *
     * @param rope how heads are turned; null: the configuration does not say
     * @param theta of {@code rope_theta}
     */
    LlamaConfig decoder(Defaults defaults, DecoderDesign design, JsonFields rope, double theta) {
        List<String> activations = defaults.activations();
        String activation = fields.text(defaults.field("hidden_act"), activations.get(0));
        if (!activations.contains(activation)) {
            throw fields.refuse(
                    defaults.field("hidden_act"),
                    "is '" + activation + "', supported is '" + String.join("' or '", activations) + "'");
        }
        if (!defaults.dropout() && fields.number("attention_dropout", 0) != 0) {
            throw fields.refuse("attention_dropout", "is not 0: dropout inside attention is not supported");
        }
        checkQuantization(fields.child("quantization_config"));
        int hidden = fields.positive(defaults.field("hidden_size"));
        int heads = fields.positive(defaults.field("num_attention_heads"));
        try {
            return new LlamaConfig(
                    fields.positive("vocab_size"),
                    hidden,
                    intermediate(defaults, hidden),
                    fields.positive(defaults.field("num_hidden_layers")),
                    heads,
                    fields.positive("num_key_value_heads", defaults.kvHeads() == 0 ? heads : defaults.kvHeads()),
                    headDim(defaults),
                    fields.positive(defaults.field("max_position_embeddings"), defaults.positions()),
                    fields.number(defaults.epsilonField(), defaults.epsilon()),
                    rope == null ? outerTheta(theta) : rope.number("rope_theta", outerTheta(theta)),
                    ropeScaling(rope, design.rotary() > 0),
                    fields.flag("tie_word_embeddings", defaults.tied()),
                    dtype(),
                    fields.integer("bos_token_id"),
                    fields.integers("eos_token_id"),
                    activation.equals("gelu") ? design.with(Part.ERF_GELU) : design);
        } catch (IllegalArgumentException e) {
            throw new FormatException(file, e.getMessage(), e);
        }
    }

    /** The GPT family leaves it out where it is four times the hidden size. */
    private int intermediate(Defaults defaults, int hidden) {
        String field = defaults.field("intermediate_size");
        return defaults.own().isEmpty()
                ? fields.positive(field)
                : fields.positive(field, Math.multiplyExact(4, hidden));
    }

    int positive(String field, int absent) {
        return fields.positive(field, absent);
    }

    double number(String field, double absent) {
        return fields.number(field, absent);
    }

    /** A soft cap; absent: this one; null: 0, none. */
    double cap(String field, double absent) {
        double value = fields.names().contains(field) ? fields.number(field, 0) : absent;
        check(field, value >= 0, "is " + value + ", expected at least 0");
        return value;
    }

    void check(String field, boolean holds, String problem) {
        if (!holds) {
            throw fields.refuse(field, problem);
        }
    }

    int layers() {
        return fields.positive("num_hidden_layers");
    }

    /** {@code sliding_window}; absent: this one; null: 0, none. */
    int window(int absent) {
        return fields.names().contains("sliding_window") ? fields.positive("sliding_window", 0) : absent;
    }

    /** The window of each layer as {@code layer_types} says it, or else in all but every {@code period}-th. */
    List<Integer> windowsBut(int period, int window) {
        return UpperWindows.but(fields, layers(), period, window);
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

    private int headDim(Defaults defaults) {
        if (defaults.headDim() != 0) {
            return fields.positive("head_dim", defaults.headDim());
        }
        int hidden = fields.positive(defaults.field("hidden_size"));
        int heads = fields.positive(defaults.field("num_attention_heads"));
        if (!fields.has("head_dim") && hidden % heads != 0) {
            throw fields.refuse(
                    defaults.field("hidden_size"),
                    "is " + hidden + ", no multiple of " + defaults.field("num_attention_heads") + " " + heads
                            + ", without head_dim");
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

    private double outerTheta(double absent) {
        return fields.number("rope_theta", absent);
    }

    private String ropeField() {
        return fields.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
    }

    /**
     * How many numbers of a head are turned, as {@code partial_rotary_factor} says.
     *
     * @param absent the factor where neither the configuration nor its rope_parameters has one
     */
    int rotaryWidth(Defaults defaults, double absent) {
        JsonFields rope = fields.child(ropeField());
        JsonFields holder = rope != null && rope.has(PARTIAL) ? rope : fields;
        double factor = holder.number(PARTIAL, absent);
        if (!(factor > 0 && factor <= 1)) {
            throw holder.refuse(PARTIAL, "is " + factor + ", expected more than 0 and at most 1");
        }
        // why cut: transformers does, so that 30 of 44 written as a quotient are 29 of 44 there too.
        int width = (int) (headDim(defaults) * factor);
        if (width == 0 || width % 2 != 0) {
            throw holder.refuse(PARTIAL, "is " + factor + ", which turns " + width + " numbers of a head");
        }
        return width;
    }

    /** Writes what {@link #rotaryWidth} reads, and gives it. */
    static JsonNode writeRotaryWidth(LlamaConfig config, ObjectNode json) {
        double factor = (double) config.rotaryWidth() / config.headDim();
        if ((int) (config.headDim() * factor) < config.rotaryWidth()) {
            factor = Math.nextUp(factor);
        }
        return json.withObject("rope_parameters").put(PARTIAL, factor).get(PARTIAL);
    }

    JsonFields child(String field) {
        return fields.child(field);
    }

    /** @param partial whether the design says what part of a head is turned */
    private static LlamaConfig.RopeScaling ropeScaling(JsonFields rope, boolean partial) {
        if (rope == null) {
            return null;
        }
        // why: the first releases with rope_scaling called the key "type".
        String key = rope.has("rope_type") ? "rope_type" : "type";
        String type = rope.text(key, "default");
        if (!partial && rope.number(PARTIAL, 1.0) != 1.0) {
            throw rope.refuse(PARTIAL, "is not 1: rotary embedding of part of a head is not supported");
        }
        return switch (type) {
            case "default" -> null;
            case "linear" -> LlamaConfig.RopeScaling.linear(rope.number("factor"));
            case "llama3" ->
                new LlamaConfig.RopeScaling(
                        Rope.Scaling.LLAMA3,
                        rope.number("factor"),
                        rope.number("low_freq_factor"),
                        rope.number("high_freq_factor"),
                        rope.positive("original_max_position_embeddings"),
                        1);
            case "yarn" -> yarn(rope);
            default ->
                throw rope.refuse(key, "is '" + type + "', supported are 'default', 'linear', 'llama3' and 'yarn'");
        };
    }

    /** YaRN (arXiv 2309.00071): frequencies of few turns are divided, and what is turned grows with the logarithm of the factor. */
    private static LlamaConfig.RopeScaling yarn(JsonFields rope) {
        double factor = rope.number("factor");
        if (!rope.flag("truncate", true)) {
            throw rope.refuse("truncate", "is false, which is not supported");
        }
        double over = rope.number("mscale", 0);
        double under = rope.number("mscale_all_dim", 0);
        double computed =
                over != 0 && under != 0 ? yarnScale(factor, over) / yarnScale(factor, under) : yarnScale(factor, 1);
        return new LlamaConfig.RopeScaling(
                Rope.Scaling.YARN,
                factor,
                rope.number("beta_slow", 1),
                rope.number("beta_fast", 32),
                rope.positive("original_max_position_embeddings"),
                rope.number("attention_factor", computed));
    }

    /** What the turned part of heads is multiplied with where nothing says so. */
    static double yarnScale(double factor, double weight) {
        return factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
    }

    boolean flag(String field) {
        return flag(field, false);
    }

    boolean flag(String field, boolean absent) {
        return fields.flag(field, absent);
    }

    /** What {@code attention_bias} says of the four projections of attention. */
    Set<Part> attentionBiases() {
        return flag("attention_bias") ? EnumSet.of(Part.INPUT_BIASES, Part.OUTPUT_BIAS) : EnumSet.noneOf(Part.class);
    }

    /** A field whose absence means true. */
    void requireTrue(String field) {
        if (!fields.flag(field, true)) {
            throw fields.refuse(field, "is false, which is not supported");
        }
    }

    void refuseTrue(String field) {
        if (fields.flag(field, false)) {
            throw fields.refuse(field, "is true, which is not supported");
        }
    }
}
