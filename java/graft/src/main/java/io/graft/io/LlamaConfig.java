package io.graft.io;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.ops.Rope;
import io.graft.tensor.DType;
import io.graft.tensor.Weight;
import io.graft.tensor.WeightForm;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;

/**
 * What {@code config.json} says of a decoder, in the form of transformers 4 ({@code rope_theta},
 * {@code rope_scaling}, {@code torch_dtype}) or 5 ({@code rope_parameters}, {@code dtype}).
 *
 * <p>What Graft does not compute is refused by name, never ignored.
 *
 * @param vocabularySize rows of the embedding and of the head
 * @param hiddenSize width of the residual stream
 * @param intermediateSize width inside the MLP
 * @param layers number of decoder layers
 * @param heads query heads
 * @param kvHeads key and value heads; divides {@code heads}
 * @param headDim width of a head; {@code hiddenSize / heads} unless said
 * @param maxPositions longest sequence the model was made for
 * @param rmsNormEps epsilon of the norms, whichever kind they are
 * @param ropeTheta base of the rotary embedding
 * @param ropeScaling scaling of its frequencies, or null
 * @param tiedEmbeddings whether the head is the embedding
 * @param dtype type of the stored weights
 * @param bosId begin-of-text token, if any
 * @param eosIds end-of-text tokens; may be empty
 * @param design what the blocks are made of
 */
public record LlamaConfig(
        int vocabularySize,
        int hiddenSize,
        int intermediateSize,
        int layers,
        int heads,
        int kvHeads,
        int headDim,
        int maxPositions,
        double rmsNormEps,
        double ropeTheta,
        RopeScaling ropeScaling,
        boolean tiedEmbeddings,
        DType dtype,
        OptionalInt bosId,
        List<Integer> eosIds,
        DecoderDesign design) {
    /** The last names of the linear layers of a Llama's block. */
    public static final List<String> PROJECTIONS =
            List.of("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj");

    /** {@code quant_method} of a checkpoint whose linear layers are sketches ({@link CodedWeights}). */
    static final String SKETCH = "sketch";

    /** How many numbers of a head are turned by their position. */
    public int rotaryWidth() {
        return design.rotary() == 0 ? headDim : design.rotary();
    }

    /** The last names of the linear layers of a block. */
    public List<String> projections() {
        return design.architecture().projections();
    }

    /** A Llama of these sizes, stored in F32, without special tokens and with heads turned as the first one's. */
    public static LlamaConfig llama(
            int vocabularySize,
            int hiddenSize,
            int intermediateSize,
            int layers,
            int heads,
            int kvHeads,
            int headDim,
            int maxPositions,
            double rmsNormEps,
            boolean tiedEmbeddings) {
        return new LlamaConfig(
                vocabularySize,
                hiddenSize,
                intermediateSize,
                layers,
                heads,
                kvHeads,
                headDim,
                maxPositions,
                rmsNormEps,
                10000,
                null,
                tiedEmbeddings,
                DType.F32,
                OptionalInt.empty(),
                List.of(),
                DecoderDesign.of(Architecture.LLAMA));
    }

    /** How many numbers such a model has, however its files store them. */
    public long parameters() {
        long keyWidth = (long) headDim * kvHeads;
        long block = design.parameters(hiddenSize, intermediateSize, (long) headDim * heads, keyWidth, headDim);
        long tables = (tiedEmbeddings ? 1L : 2L) * vocabularySize
                + (design.has(DecoderDesign.Part.LEARNED_POSITIONS) ? maxPositions : 0);
        long headBias = design.has(DecoderDesign.Part.HEAD_BIAS) ? vocabularySize : 0;
        return tables * hiddenSize + headBias + layers * block + design.norm(hiddenSize);
    }

    /** The same configuration for weights of another dtype. */
    public LlamaConfig withDtype(DType other) {
        return with(other, bosId, eosIds);
    }

    /** The same configuration with these special tokens. */
    public LlamaConfig withTokens(OptionalInt begin, List<Integer> ends) {
        return with(dtype, begin, ends);
    }

    private LlamaConfig with(DType stored, OptionalInt begin, List<Integer> ends) {
        return new LlamaConfig(
                vocabularySize,
                hiddenSize,
                intermediateSize,
                layers,
                heads,
                kvHeads,
                headDim,
                maxPositions,
                rmsNormEps,
                ropeTheta,
                ropeScaling,
                tiedEmbeddings,
                stored,
                begin,
                ends,
                design);
    }

    /**
     * How the frequencies of the rotary embedding are scaled: those of less than low turns in originalPositions are divided
     * by factor, those of more than high kept, and those between interpolated; linear: all are divided.
     *
     * @param attentionFactor what the turned part of heads is multiplied with
     */
    public record RopeScaling(
            Rope.Scaling kind, double factor, double low, double high, int originalPositions, double attentionFactor) {
        static RopeScaling linear(double factor) {
            return new RopeScaling(Rope.Scaling.LINEAR, factor, 0, 0, 0, 1);
        }
    }

    /** What scores of attention are multiplied with. */
    public double attentionScale() {
        double divisor =
                design.scores().divisor() == 0 ? headDim : design.scores().divisor();
        return 1 / Math.sqrt(divisor);
    }

    /** Checks that the numbers fit each other. */
    public LlamaConfig {
        eosIds = List.copyOf(eosIds);
        check(
                vocabularySize > 0 && hiddenSize > 0 && intermediateSize > 0 && maxPositions > 0,
                "sizes must be positive");
        check(layers > 0 && heads > 0 && kvHeads > 0 && headDim > 0, "numbers of layers and heads must be positive");
        check(
                heads % kvHeads == 0,
                "num_attention_heads " + heads + " is no multiple of num_key_value_heads " + kvHeads);
        check(
                headDim % 2 == 0 || design.has(DecoderDesign.Part.LEARNED_POSITIONS),
                "head_dim " + headDim + " is odd, so that rotary embedding has no pairs");
        check(
                design.rotary() % 2 == 0 && design.rotary() >= 0 && design.rotary() <= headDim,
                "rotary_dim " + design.rotary() + " is odd or more than a head of " + headDim);
        check(
                design.windows().isEmpty() || design.windows().size() == layers,
                "windows are given for " + design.windows().size() + " layers of " + layers);
        check(rmsNormEps > 0 && ropeTheta > 0, "the epsilon of norms and rope_theta must be positive");
        if (ropeScaling != null) {
            check(ropeScaling.factor() > 0, "the factor of a rotary embedding must be positive, not " + ropeScaling);
            check(ropeScaling.attentionFactor() > 0, "attention_factor must be positive, not " + ropeScaling);
        }
        if (ropeScaling != null && ropeScaling.kind() != Rope.Scaling.LINEAR) {
            check(
                    ropeScaling.low() > 0
                            && ropeScaling.high() > ropeScaling.low()
                            && ropeScaling.originalPositions() > 0,
                    "a scaling needs 0 < low < high and original positions > 0, not " + ropeScaling);
        }
    }

    /**
     * Reads a {@code config.json}, or that of a directory.
     *
     * @throws FormatException if a field is missing, contradicts another, or asks for what Graft does not compute
     */
    public static LlamaConfig read(Path path) {
        Path file = Files.isDirectory(path) ? path.resolve("config.json") : path;
        return new LlamaConfigReader(file.toString(), Json.readObject(file)).read();
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static LlamaConfig parse(String where, String json) {
        return new LlamaConfigReader(where, Json.readObject(where, json)).read();
    }

    /** The same as transformers 5 writes it; {@link #read} gives this configuration back. */
    public String toJson() {
        return toJson(WeightForm.DENSE);
    }

    /** The same for a checkpoint whose linear layers are stored in this form; those of NF4 as bitsandbytes reads them. */
    public String toJson(WeightForm form) {
        ObjectNode json = Json.newObject();
        if (form.kind() == Weight.Kind.SKETCH) {
            ObjectNode quantization = json.putObject("quantization_config").put("quant_method", SKETCH);
            quantization.put("groups", form.groups()).put("entries", form.entries());
        } else if (form.kind() == Weight.Kind.NF4) {
            ObjectNode quantization = json.putObject("quantization_config").put("quant_method", "bitsandbytes");
            quantization.put("load_in_4bit", true).put("load_in_8bit", false).put("bnb_4bit_quant_type", "nf4");
            quantization.put("bnb_4bit_use_double_quant", form.nested()).put("bnb_4bit_quant_storage", "uint8");
            quantization.put("bnb_4bit_compute_dtype", "bfloat16");
            if (!design.architecture().unused().isEmpty()) {
                // why the head too: where modules are named, transformers leaves out these only.
                ArrayNode dense = quantization.putArray("llm_int8_skip_modules");
                design.architecture().unused().forEach(dense::add);
                dense.add(design.architecture().names().head());
            }
        }
        json.putArray("architectures").add(design.architecture().className());
        json.put("attention_dropout", 0.0);
        bosId.ifPresentOrElse(id -> json.put("bos_token_id", id), () -> json.putNull("bos_token_id"));
        json.put("dtype", LlamaConfigReader.dtypeName(dtype));
        if (eosIds.size() == 1) {
            json.put("eos_token_id", eosIds.get(0));
        } else {
            json.set("eos_token_id", eosIds.isEmpty() ? json.nullNode() : Json.toNode(eosIds));
        }
        json.put("hidden_size", hiddenSize).put("intermediate_size", intermediateSize);
        json.put("max_position_embeddings", maxPositions)
                .put("model_type", design.architecture().type());
        json.put("num_attention_heads", heads).put("num_hidden_layers", layers).put("num_key_value_heads", kvHeads);
        json.putNull("pad_token_id");
        ObjectNode rope = json.putObject("rope_parameters");
        rope.put("rope_theta", ropeTheta);
        writeScaling(rope);
        json.put("tie_word_embeddings", tiedEmbeddings).put("use_cache", true).put("vocab_size", vocabularySize);
        design.architecture().write(this, json);
        return PythonJson.write(json);
    }

    private void writeScaling(ObjectNode rope) {
        if (ropeScaling == null) {
            rope.put("rope_type", "default");
            return;
        }
        rope.put("rope_type", ropeScaling.kind().name().toLowerCase(Locale.ROOT))
                .put("factor", ropeScaling.factor());
        boolean yarn = ropeScaling.kind() == Rope.Scaling.YARN;
        if (yarn || ropeScaling.kind() == Rope.Scaling.LLAMA3) {
            putUnless(yarn ? 1 : 0, rope, yarn ? "beta_slow" : "low_freq_factor", ropeScaling.low());
            putUnless(yarn ? 32 : 0, rope, yarn ? "beta_fast" : "high_freq_factor", ropeScaling.high());
            rope.put("original_max_position_embeddings", ropeScaling.originalPositions());
        }
        if (yarn) {
            double usual = LlamaConfigReader.yarnScale(ropeScaling.factor(), 1);
            putUnless(usual, rope, "attention_factor", ropeScaling.attentionFactor());
        }
    }

    private static void putUnless(double usual, ObjectNode json, String field, double value) {
        if (value != usual) {
            json.put(field, value);
        }
    }

    private static void check(boolean holds, String problem) {
        if (!holds) {
            throw new IllegalArgumentException(problem);
        }
    }
}
