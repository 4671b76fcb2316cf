package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.ops.Rope;
import io.graft.tensor.DType;
import io.graft.tensor.WeightForm;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class LlamaConfigTest {
    @TempDir
    Path directory;

    @Test
    void bothFormsOfTheLibraryGiveOneConfiguration() {
        Path model = Fixtures.path("models/llama_rope3");
        LlamaConfig config = LlamaConfig.read(model);
        assertThat(config).isEqualTo(LlamaConfig.read(model.resolve("config_v4.json")));
        assertThat(config.vocabularySize()).isEqualTo(211);
        assertThat(config.hiddenSize()).isEqualTo(48);
        assertThat(config.intermediateSize()).isEqualTo(100);
        assertThat(config.layers()).isEqualTo(2);
        assertThat(config.heads()).isEqualTo(4);
        assertThat(config.kvHeads()).isEqualTo(2);
        assertThat(config.headDim()).isEqualTo(12);
        assertThat(config.rmsNormEps()).isEqualTo(1e-6);
        assertThat(config.ropeTheta()).isEqualTo(500000.0);
        assertThat(config.ropeScaling()).isEqualTo(new LlamaConfig.RopeScaling(Rope.Scaling.LLAMA3, 8, 1, 4, 16, 1));
        assertThat(config.dtype()).isEqualTo(DType.F32);
        assertThat(config.bosId()).isEqualTo(OptionalInt.of(1));
        assertThat(config.eosIds()).containsExactly(2);
    }

    @ParameterizedTest
    @MethodSource("io.graft.io.Fixtures#models")
    void writtenConfigurationIsReadBack(String model) throws IOException {
        Path original = Fixtures.path("models/" + model);
        LlamaConfig config = LlamaConfig.read(original);
        Files.writeString(directory.resolve("config.json"), config.toJson());
        assertThat(LlamaConfig.read(directory)).isEqualTo(config);
        ObjectNode expected = Json.readObject(original.resolve("config.json"));
        expected.remove("transformers_version");
        expected.remove("_sliding_window_pattern");
        if (expected.get("text_config") instanceof ObjectNode text) {
            text.remove("_sliding_window_pattern");
        }
        if (model.startsWith("phi3")) {
            expected.set(
                    "partial_rotary_factor", expected.get("rope_parameters").get("partial_rotary_factor"));
        }
        assertThat(config.toJson()).isEqualTo(PythonJson.write(expected));
    }

    @Test
    void absentFieldsTakeTheLibrarysDefaults() {
        LlamaConfig config = read("{'model_type':'llama','vocab_size':10,'hidden_size':8,'intermediate_size':16,"
                + "'num_hidden_layers':1,'num_attention_heads':2,'eos_token_id':[5,6],'torch_dtype':'bfloat16'}");
        assertThat(config.headDim()).isEqualTo(4);
        assertThat(config.kvHeads()).isEqualTo(2);
        assertThat(config.maxPositions()).isEqualTo(2048);
        assertThat(config.ropeTheta()).isEqualTo(10000.0);
        assertThat(config.ropeScaling()).isNull();
        assertThat(config.tiedEmbeddings()).isFalse();
        assertThat(config.bosId()).isEmpty();
        assertThat(config.eosIds()).containsExactly(5, 6);
        assertThat(config.dtype()).isEqualTo(DType.BF16);
        assertThat(read(config.toJson().replace('"', '\''))).isEqualTo(config);
    }

    @Test
    void olderSpellingOfTheRopeTypeIsRead() {
        LlamaConfig config = changed(
                "rope_parameters",
                "null,'rope_scaling':{'type':'llama3','factor':2,'low_freq_factor':1,'high_freq_factor':4,"
                        + "'original_max_position_embeddings':32}");
        assertThat(config.ropeScaling()).isEqualTo(new LlamaConfig.RopeScaling(Rope.Scaling.LLAMA3, 2, 1, 4, 32, 1));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "model_type | 'gemma' | field 'model_type' is 'gemma', supported are [llama, mistral, qwen2, qwen3, starcoder2, phi3, gemma2, gemma3_text, gemma3, glm, glm4, gpt_bigcode, codegen]",
                "model_type | 'qwen2' | field 'architectures' is [LlamaForCausalLM], supported for 'qwen2' is Qwen2ForCausalLM",
                "architectures | ['LlamaForTokenClassification'] | field 'architectures' is [LlamaForTokenClassification]",
                "model_type | null | field 'model_type' is missing",
                "hidden_act | 'gelu' | field 'hidden_act' is 'gelu', supported is 'silu'",
                "attention_dropout | 0.1 | field 'attention_dropout' is not 0",
                "quantization_config | {'bits':4} | field 'quantization_config.quant_method' is 'none', supported are",
                "quantization_config | {'quant_method':'gptq'} | 'quantization_config.quant_method' is 'gptq'",
                "quantization_config | {'quant_method':'bitsandbytes','load_in_8bit':true} | with load_in_4bit and nf4",
                "quantization_config | {'quant_method':'bitsandbytes','load_in_4bit':true} | with load_in_4bit and nf4",
                "vocab_size | null | field 'vocab_size' is missing",
                "vocab_size | 0 | field 'vocab_size' is 0, expected at least 1",
                "hidden_size | -48 | field 'hidden_size' is -48, expected at least 1",
                "hidden_size | 48.5 | field 'hidden_size' is 48.5, expected an integer",
                "hidden_size | 4294967296 | field 'hidden_size' is 4294967296, expected an integer of 32 bits",
                "hidden_size | '48' | field 'hidden_size' is \"48\", expected an integer",
                "num_hidden_layers | 0 | field 'num_hidden_layers' is 0",
                "num_attention_heads | 0 | field 'num_attention_heads' is 0",
                "num_key_value_heads | 3 | num_attention_heads 4 is no multiple of num_key_value_heads 3",
                "head_dim | 11 | head_dim 11 is odd",
                "rms_norm_eps | 0 | the epsilon of norms and rope_theta must be positive",
                "rms_norm_eps | 1e999 | field 'rms_norm_eps'",
                "dtype | 'int8' | field 'dtype' is 'int8', expected one of [bfloat16, float16, float32, float64]",
                "tie_word_embeddings | 1 | field 'tie_word_embeddings' is 1, expected true or false",
                "eos_token_id | ['a'] | field 'eos_token_id' is \"a\", expected an integer",
                "rope_parameters | 7 | field 'rope_parameters' is 7, expected an object",
                "rope_parameters | {'rope_type':'dynamic'} | field 'rope_parameters.rope_type' is 'dynamic'",
                "rope_parameters | {'rope_type':'llama3'} | field 'rope_parameters.factor' is missing",
                "rope_parameters | {'rope_theta':-1} | must be positive",
                "rope_parameters | {'partial_rotary_factor':0.5} | field 'rope_parameters.partial_rotary_factor'",
            })
    void whatIsNotComputedIsRefusedByName(String field, String value, String message) {
        assertThatThrownBy(() -> changed(field, value))
                .isInstanceOf(FormatException.class)
                .hasMessageStartingWith(directory.toString())
                .hasMessageContaining(message);
    }

    @ParameterizedTest
    @MethodSource("io.graft.io.Fixtures#models")
    void parametersAreThoseOfTheFile(String model) {
        LlamaConfig config = LlamaConfig.read(Fixtures.path("models/" + model + "/config.json"));
        long expected = 0;
        try (Checkpoint checkpoint = Checkpoint.open(Fixtures.path("models/" + model))) {
            for (String name : checkpoint.names()) {
                boolean used = config.design().architecture().unusedPart(name) == null;
                expected += used ? Arrays.stream(checkpoint.shape(name)).reduce(1, (a, b) -> a * b) : 0;
            }
        }
        assertThat(config.parameters()).isEqualTo(expected);
    }

    @Test
    void codedCheckpointsSayHowAndAreRead() {
        LlamaConfig config = LlamaConfig.read(Fixtures.path("models/llama_gqa/config.json"));
        for (WeightForm form : List.of(WeightForm.DENSE, WeightForm.NF4, WeightForm.sketch(3, 2))) {
            assertThat(read(config.toJson(form))).isEqualTo(config);
        }
        assertThat(config.toJson(WeightForm.DENSE)).doesNotContain("quantization_config");
        assertThat(config.toJson(WeightForm.NF4)).contains("\"bnb_4bit_use_double_quant\": true");
        assertThat(config.toJson(WeightForm.sketch(3, 2))).contains("\"entries\": 8", "\"groups\": 2");
    }

    @Test
    void whatStaysDenseBesideCodesIsNamed() {
        LlamaConfig config = LlamaConfig.read(Fixtures.path("models/gemma3_multimodal/config.json"));
        String json = config.toJson(WeightForm.NF4);
        assertThat(read(json)).isEqualTo(config);
        assertThat(Json.readObject("config.json", json).at("/quantization_config/llm_int8_skip_modules"))
                .extracting(JsonNode::asText)
                .containsExactly("model.vision_tower", "model.multi_modal_projector", "lm_head");
    }

    @Test
    void headDimMustBeKnown() {
        assertThatThrownBy(() -> read("{'model_type':'llama','vocab_size':10,'hidden_size':9,'intermediate_size':16,"
                        + "'num_hidden_layers':1,'num_attention_heads':2}"))
                .hasMessageContaining("'hidden_size' is 9, no multiple of num_attention_heads 2");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "nonsense", "[]", "{\"a\":1,\"a\":2}", "{} {}"})
    void textThatIsNoObjectIsRefused(String json) {
        assertThatThrownBy(() -> read(json)).isInstanceOf(FormatException.class);
    }

    @Test
    void deepJsonIsRefused() {
        assertThatThrownBy(() -> read("{'a':" + "[".repeat(100_000) + "]".repeat(100_000) + "}"))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("nesting depth");
    }

    @Test
    void windowsAreThoseOfTheLayersThatHaveOne() {
        assertThat(LlamaConfig.read(Fixtures.path("models/mistral")).design().windows())
                .containsExactly(5, 5);
        assertThat(changed("mistral", "sliding_window", "null").design().windows())
                .isEmpty();
        assertThat(changed("mistral", "sliding_window", "7,'head_dim':null")
                        .design()
                        .window(1))
                .isEqualTo(7);
        assertThat(changed("qwen2", "sliding_window", "3").design().windows()).isEmpty();
        String used = "3,'use_sliding_window':true,'max_window_layers':1,'layer_types':";
        LlamaConfig upper = changed("qwen2", "sliding_window", used + "null");
        assertThat(upper.design().windows()).containsExactly(0, 3);
        assertThat(read(upper.toJson())).isEqualTo(upper);
        LlamaConfig lower = changed("qwen3", "sliding_window", used + "['sliding_attention','full_attention']");
        assertThat(lower.design().windows()).containsExactly(3, 0);
        assertThat(read(lower.toJson())).isEqualTo(lower);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "mistral | sliding_window | 0 | field 'sliding_window' is 0, expected at least 1",
                "mistral | hidden_act | 'gelu' | field 'hidden_act' is 'gelu', supported is 'silu'",
                "qwen2 | layer_types | ['full_attention'] | has 1 entries, but num_hidden_layers is 2",
                "qwen2 | layer_types | ['full_attention','linear_attention'] | 'layer_types' has 'linear_attention'",
                "qwen2 | num_key_value_heads | null | 6 is no multiple of num_key_value_heads 32",
                "starcoder2 | use_bias | false | field 'use_bias' is false, which is not supported",
                "starcoder2 | hidden_act | 'relu' | is 'relu', supported is 'gelu_pytorch_tanh' or 'gelu_new' or 'gelu'",
                "starcoder2 | norm_epsilon | 0 | the epsilon of norms and rope_theta must be positive",
                "gpt_bigcode | multi_query | false | field 'multi_query' is false, which is not supported",
                "gpt_bigcode | scale_attn_weights | false | field 'scale_attn_weights' is false",
                "gpt_bigcode | add_cross_attention | true | field 'add_cross_attention' is true",
                "gpt_bigcode | activation_function | 'relu' | field 'activation_function' is 'relu'",
                "gpt_bigcode | n_embd | 41 | field 'n_embd' is 41, no multiple of n_head 4",
                "phi3 | resid_pdrop | 0.1 | field 'resid_pdrop' is not 0: dropout of the base",
                "phi3 | rope_parameters | {'partial_rotary_factor':1.5} | field 'rope_parameters.partial_rotary_factor' is 1.5,",
                "phi3 | rope_parameters | {'partial_rotary_factor':0.4} | is 0.4, which turns 3 numbers of a head",
                "phi3 | rope_parameters | {'rope_type':'yarn','factor':2,'original_max_position_embeddings':8} |"
                        + " field 'rope_parameters' scales frequencies, supported is rope_type 'default'",
                "glm4 | partial_rotary_factor | 0,'rope_parameters':null | field 'partial_rotary_factor' is 0.0, expected",
                "llama_yarn | rope_parameters | {'partial_rotary_factor':0.5} |"
                        + " field 'rope_parameters.partial_rotary_factor' is not 1",
                "phi3 | rope_parameters | {'rope_type':'longrope'} | field 'rope_parameters.rope_type' is 'longrope'",
                "codegen | n_head | 2 | field 'n_head' is 2, no multiple of 4",
                "codegen | tie_word_embeddings | true | field 'tie_word_embeddings' is true",
                "codegen | rotary_dim | 12 | rotary_dim 12 is odd or more than a head of 10",
                "codegen | activation_function | 'silu' | field 'activation_function' is 'silu'",
                "qwen3 | attention_bias | 1 | field 'attention_bias' is 1, expected true or false",
                "qwen3 | rope_parameters | {'rope_type':'dynamic'} | field 'rope_parameters.rope_type' is 'dynamic'",
                "qwen3 | rope_parameters | {'rope_type':'yarn'} | field 'rope_parameters.factor' is missing",
                "llama_yarn | rope_parameters | {'rope_type':'yarn','factor':2,'truncate':false,"
                        + "'original_max_position_embeddings':8} | field 'rope_parameters.truncate' is false",
                "codegen | rope_parameters | {'rope_type':'yarn','factor':2,'original_max_position_embeddings':8} |"
                        + " field 'rope_parameters' scales frequencies, which CodeGen does not",
                "llama_yarn | rope_parameters | {'rope_type':'yarn','factor':2,'attention_factor':0,"
                        + "'original_max_position_embeddings':8} | attention_factor must be positive",
                "gemma2 | use_bidirectional_attention | true | field 'use_bidirectional_attention' is true",
                "gemma2 | hidden_activation | 'silu' | field 'hidden_activation' is 'silu'",
                "gemma2 | attn_logit_softcapping | -1 | field 'attn_logit_softcapping' is -1.0, expected at least 0",
                "gemma3 | sliding_window | null | field 'sliding_window' is null, which is not supported",
                "gemma3 | rope_parameters | {'rope_theta':2} | field 'rope_parameters' is that of one kind of layers",
                "gemma3 | rope_parameters | {'sliding_attention':{'rope_type':'linear','factor':2}} |"
                        + " field 'rope_parameters.sliding_attention.rope_type' is 'linear', supported is 'default'",
            })
    void whatAnArchitectureDoesNotHaveIsRefusedByName(String model, String field, String value, String message) {
        assertThatThrownBy(() -> changed(model, field, value))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining(message);
    }

    /** As transformers 4 wrote it, with the pattern in place of a list of layers. */
    @Test
    void gemma3InItsOlderForm() {
        LlamaConfig config = LlamaConfig.parse("older", """
                {"model_type": "gemma3_text", "vocab_size": 9, "hidden_size": 8, "intermediate_size": 4,
                 "num_hidden_layers": 6, "num_attention_heads": 4, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
                 "rope_theta": 500000, "rope_local_base_freq": 7.0, "sliding_window": 3}""");
        assertThat(config.design().windows()).containsExactly(3, 3, 3, 3, 3, 0);
        assertThat(config.design().scores()).isEqualTo(new DecoderDesign.Scores(256, 0, 0, 7));
        assertThat(config.ropeTheta()).isEqualTo(500000);
        assertThat(config.ropeScaling()).isEqualTo(LlamaConfig.RopeScaling.linear(8));
        assertThat(config.attentionScale()).isEqualTo(1.0 / 16);
        assertThat(LlamaConfig.parse("again", config.toJson())).isEqualTo(config);
    }

    /** The text model of Gemma 3 4B, whose configuration leaves out what is usual. */
    @Test
    void gemma3WithItsVisionTower() {
        String published = """
                {"architectures": ["Gemma3ForConditionalGeneration"], "boi_token_index": 255999, "eos_token_id": [1, 106],
                 "image_token_index": 262144, "mm_tokens_per_image": 256, "model_type": "gemma3",
                 "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
                   "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024},
                 "torch_dtype": "bfloat16", "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"}}""";
        LlamaConfig config = LlamaConfig.parse("published", published);
        assertThat(config.vocabularySize()).isEqualTo(262208);
        assertThat(config.heads()).isEqualTo(8);
        assertThat(config.kvHeads()).isEqualTo(4);
        assertThat(config.dtype()).isEqualTo(DType.BF16);
        assertThat(config.eosIds()).containsExactly(1, 106);
        assertThat(config.tiedEmbeddings()).isTrue();
        assertThat(config.design().window(4)).isEqualTo(1024);
        assertThat(config.design().window(5)).isZero();
        assertThat(config.parameters()).isEqualTo(3_880_263_168L);
        assertThat(LlamaConfig.parse("again", config.toJson())).isEqualTo(config);
        JsonFields written = JsonFields.parse("written", config.toJson());
        assertThat(written.text("model_type")).isEqualTo("gemma3");
        assertThat(written.child("vision_config").positive("hidden_size")).isEqualTo(1152);
        assertThat(written.child("text_config").text("model_type")).isEqualTo("gemma3_text");
        assertThat(written.names()).doesNotContain("hidden_size", "rope_parameters");
        assertThatThrownBy(
                        () -> LlamaConfig.parse("x", published.replace("\"sliding_window\": 1024", "\"head_dim\": 0")))
                .hasMessageContaining("field 'text_config.head_dim' is 0");
        assertThatThrownBy(() -> LlamaConfig.parse("x", published.replace("gemma3_text", "llama")))
                .hasMessageContaining("field 'text_config.model_type' is 'llama', supported is 'gemma3_text'");
    }

    /** By the paper's 0.1 ln(factor) + 1, which queries and keys carry, not the scale of scores. */
    @Test
    void yarnScalesWhatIsTurned() {
        for (String model : List.of("llama_yarn", "glm4")) {
            LlamaConfig config = LlamaConfig.read(Fixtures.path("models/" + model));
            assertThat(config.ropeScaling().attentionFactor()).isEqualTo(0.1 * Math.log(4) + 1);
            assertThat(config.attentionScale()).isEqualTo(0.25);
            assertThat(LlamaConfig.parse("again", config.toJson())).isEqualTo(config);
        }
    }

    /** Beside rope_parameters, in them, or as the architecture has it. */
    @Test
    void aPartOfEachHeadIsTurned() {
        assertThat(changed("glm", "partial_rotary_factor", "0.25").rotaryWidth())
                .as("rope_parameters count before what stands beside them")
                .isEqualTo(6);
        assertThat(changed("glm", "partial_rotary_factor", "0.4,'rope_parameters':null")
                        .rotaryWidth())
                .isEqualTo(4);
        assertThat(changed("glm", "partial_rotary_factor", "null,'rope_parameters':null")
                        .rotaryWidth())
                .isEqualTo(6);
        assertThat(changed("phi3_partial", "rope_parameters", "null").rotaryWidth())
                .isEqualTo(8);
        LlamaConfig partial = LlamaConfig.read(Fixtures.path("models/phi3_partial"));
        assertThat(partial.rotaryWidth()).isEqualTo(6);
        assertThat(read(partial.toJson())).isEqualTo(partial);
        assertThat(Json.readObject("phi3", partial.toJson())
                        .get("partial_rotary_factor")
                        .asDouble())
                .isEqualTo(0.75);
    }

    private LlamaConfig partOf44(double factor) {
        String rope = "{'partial_rotary_factor':%s,'rope_theta':10000.0,'rope_type':'default'},'head_dim':44";
        return changed("phi3_partial", "rope_parameters", rope.formatted(factor));
    }

    /** As int() does in transformers: 44 · (30 / 44) is a little less than 30 in doubles. */
    @Test
    void aPartOfAHeadIsCut() {
        assertThat((int) (44 * (30 / 44.0))).isEqualTo(29);
        assertThatThrownBy(() -> partOf44(30 / 44.0))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("partial_rotary_factor' is 0.68181818181818")
                .hasMessageContaining("which turns 29 numbers of a head");
        assertThat(partOf44(0.69).rotaryWidth()).isEqualTo(30);
    }

    @Test
    void whatIsWrittenTurnsTheSameNumbers() {
        LlamaConfig config = partOf44(0.69);
        double written = Json.readObject("phi3", config.toJson())
                .get("partial_rotary_factor")
                .asDouble();
        assertThat(written).isEqualTo(Math.nextUp(30 / 44.0));
        assertThat((int) (44 * written)).isEqualTo(30);
        assertThat(read(config.toJson())).isEqualTo(config);
    }

    private LlamaConfig changed(String field, String value) {
        return changed("llama_gqa", field, value);
    }

    /** The configuration of a fixture with one field changed; single quotes stand for double ones. */
    private LlamaConfig changed(String model, String field, String value) {
        ObjectNode json = Json.readObject(Fixtures.path("models/" + model + "/config.json"));
        for (String other :
                List.of("layer_types", "use_sliding_window", "max_window_layers", "head_dim", "rope_parameters")) {
            if (value.contains(other)) {
                json.remove(other);
            }
        }
        json.put(field, "@");
        return read(json.toString().replace("\"@\"", value.replace('\'', '"')));
    }

    private LlamaConfig read(String json) {
        try {
            return LlamaConfig.read(Files.writeString(directory.resolve("config.json"), json.replace('\'', '"')));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
