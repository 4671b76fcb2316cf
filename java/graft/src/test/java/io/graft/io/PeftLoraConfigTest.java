package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PeftLoraConfigTest {
    private static final String Q = "model.layers.0.self_attn.q_proj";

    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "llama_gqa/lora",
                "llama_gqa/lora_embedding",
                "llama_gqa/lora_layers",
                "llama_gqa/lora_modules_to_save",
                "llama_gqa/lora_pattern",
                "llama_gqa/lora_rs",
                "llama_rope3/lora",
                "llama_tied/lora"
            })
    void filesOfPeftComeBackByteForByte(String name) {
        Path adapter = Fixtures.path("adapters/" + name);
        PeftLoraConfig.read(adapter).write(directory);
        assertThat(directory.resolve(PeftLoraConfig.FILE))
                .hasSameTextualContentAs(adapter.resolve(PeftLoraConfig.FILE));
    }

    /** The modules that a configuration names must be those whose tensors PEFT saved. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "llama_gqa/lora",
                "llama_gqa/lora_layers",
                "llama_gqa/lora_modules_to_save",
                "llama_gqa/lora_pattern",
                "llama_gqa/lora_rs",
                "llama_rope3/lora",
                "llama_tied/lora"
            })
    void targetsAndRanksAreThoseThatPeftSaved(String name) {
        Path adapter = Fixtures.path("adapters/" + name);
        PeftLoraConfig config = PeftLoraConfig.read(adapter);
        Set<String> targeted = new TreeSet<>();
        Set<String> saved = new TreeSet<>();
        try (Checkpoint base = Checkpoint.open(Fixtures.path("models/" + name.substring(0, name.indexOf('/'))));
                SafetensorsFile file = SafetensorsFile.open(adapter.resolve("adapter_model.safetensors"))) {
            for (String weight : base.names()) {
                String module = weight.substring(0, weight.length() - ".weight".length());
                if (base.shape(weight).length == 2 && config.targets(module)) {
                    targeted.add(module);
                }
            }
            for (String key : file.names()) {
                if (key.endsWith(".lora_A.weight")) {
                    String module = key.substring("base_model.model.".length(), key.indexOf(".lora_A"));
                    saved.add(module);
                    assertThat((long) config.rank(module)).as(module).isEqualTo(file.shape(key)[0]);
                } else if (!key.endsWith(".lora_B.weight")) {
                    assertThat(config.saves(key.substring("base_model.model.".length(), key.lastIndexOf('.'))))
                            .as(key)
                            .isTrue();
                }
            }
        }
        assertThat(targeted).isNotEmpty().isEqualTo(saved);
    }

    @Test
    void patternsGiveRankAndScale() {
        PeftLoraConfig config = PeftLoraConfig.read(Fixtures.path("adapters/llama_gqa/lora_pattern"));
        assertThat(config.rank("model.layers.0.mlp.down_proj")).isEqualTo(2);
        assertThat(config.scale("model.layers.0.mlp.down_proj")).isEqualTo(1.5);
        assertThat(config.rank("model.layers.1.self_attn.q_proj")).isEqualTo(6);
        assertThat(config.rank(Q)).isEqualTo(config.rank());
        assertThat(config.alpha("model.layers.0.mlp.up_proj")).isEqualTo(20);
        assertThat(config.alpha("model.layers.1.mlp.up_proj")).isEqualTo(config.alpha());
    }

    @Test
    void firstPatternCountsAndMatchesWholeParts() {
        PeftLoraConfig config = parse("'r':4,'rank_pattern':{'self_attn.[qk]_proj':5,'q_proj':6,'proj':7}");
        assertThat(config.rank(Q)).isEqualTo(5);
        assertThat(config.rank("x.q_proj")).isEqualTo(6);
        assertThat(config.rank("q_proj")).isEqualTo(6);
        assertThat(config.rank("model.v_proj")).isEqualTo(4);
    }

    @Test
    void leastFileTakesTheDefaultsOfPeft() {
        PeftLoraConfig config = PeftLoraConfig.parse("x", "{\"peft_type\":\"LORA\"}");
        assertThat(config.rank(Q)).isEqualTo(8);
        assertThat(config.scale(Q)).isEqualTo(1.0);
        assertThat(config.dropout()).isZero();
        assertThat(config.initialisation()).isEqualTo("true");
        assertThat(config.targets(Q)).isTrue();
        assertThat(config.targets("model.layers.0.mlp.up_proj")).isFalse();
    }

    @Test
    void rankStabilisedScaleDividesByTheRoot() {
        assertThat(parse("'r':16,'lora_alpha':8,'use_rslora':true").scale(Q)).isEqualTo(2.0);
        assertThat(parse("'r':2,'lora_alpha':3,'use_rslora':true").scale(Q)).isCloseTo(2.1213203, Offset.offset(1e-6));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "['q_proj'] | null | true",
                "['self_attn.q_proj'] | null | true",
                "['_proj'] | null | false",
                "['proj'] | null | false",
                "['model.layers.0.self_attn.q_proj'] | null | true",
                "'.*q_proj' | null | true",
                "'q_proj' | null | false",
                "'.*\\\\.(?P<which>[qk])_proj' | null | true",
                "'all-linear' | null | true",
                "'all-linear' | ['q_proj'] | false",
                "['q_proj'] | ['self_attn.q_proj'] | false",
                "['q_proj'] | ['k_proj'] | true",
                "['q_proj'] | '.*\\\\.0\\\\..*' | false",
            })
    void targetsFollowPeftsRules(String targets, String excluded, boolean expected) {
        PeftLoraConfig config = parse("'target_modules':" + targets + ",'exclude_modules':" + excluded);
        assertThat(config.targets(Q)).isEqualTo(expected);
    }

    @Test
    void allLinearLeavesTheHeadOut() {
        PeftLoraConfig config = parse("'target_modules':'all-linear'");
        assertThat(config.targets("lm_head")).isFalse();
        assertThat(config.targets("model.layers.0.mlp.up_proj")).isTrue();
    }

    @Test
    void layersAreChosenByNumber() {
        PeftLoraConfig config = parse("'target_modules':['q_proj'],'layers_to_transform':[1,3]");
        assertThat(config.targets("model.layers.1.self_attn.q_proj")).isTrue();
        assertThat(config.targets("model.layers.2.self_attn.q_proj")).isFalse();
        assertThat(config.targets("q_proj")).isFalse();
        assertThat(parse("'target_modules':['q_proj'],'layers_to_transform':2").targets("model.layers.2.a.q_proj"))
                .isTrue();
        PeftLoraConfig named = parse("'target_modules':['q_proj'],'layers_to_transform':[2],'layers_pattern':'blocks'");
        assertThat(named.targets("model.layers.2.blocks.1.q_proj")).isFalse();
        assertThat(named.targets("model.layers.1.blocks.2.q_proj")).isTrue();
    }

    @Test
    void fullyTrainedModulesCarryNoAdapter() {
        PeftLoraConfig config = parse("'target_modules':['q_proj','lm_head'],'modules_to_save':['lm_head']");
        assertThat(config.targets("lm_head")).isFalse();
        assertThat(config.saves("lm_head")).isTrue();
        assertThat(config.saves(Q)).isFalse();
    }

    @Test
    void unknownFieldsSurvive() {
        String json =
                parse("'from_the_future':{'b':[1,2.5,1e-05,1e16],'a':'é'}").toJson();
        assertThat(json)
                .contains("\"from_the_future\": {\n    \"a\": \"\\u00e9\",\n    \"b\": [\n      1,\n      2.5,\n"
                        + "      1e-05,\n      1e+16\n    ]\n  }");
        assertThat(json).contains("\"inference_mode\": true");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'peft_type':'IA3' | field 'peft_type' is 'IA3', supported is 'LORA'",
                "'peft_type':null | field 'peft_type' is missing",
                "'bias':'some' | field 'bias' is 'some', supported are [none, all, lora_only]",
                "'use_qalora':true | field 'use_qalora' is true, which is not supported",
                "'fan_in_fan_out':true | field 'fan_in_fan_out' is true",
                "'lora_bias':true | field 'lora_bias' is true",
                "'layer_replication':[[0,1]] | field 'layer_replication' is [[0,1]]",
                "'target_parameters':['x'] | field 'target_parameters'",
                "'trainable_token_indices':[1] | field 'trainable_token_indices'",
                "'init_lora_weights':'pissa' | valid only on a base whose weights were changed",
                "'init_lora_weights':'pissa_niter_4' | valid only on a base whose weights were changed",
                "'init_lora_weights':'olora' | valid only on a base whose weights were changed",
                "'init_lora_weights':'loftq' | valid only on a base whose weights were changed",
                "'init_lora_weights':'other' | field 'init_lora_weights' is 'other', which is not supported",
                "'r':0 | field 'r' is 0, expected at least 1",
                "'r':2.5 | field 'r' is 2.5, expected an integer",
                "'lora_alpha':'8' | field 'lora_alpha' is \"8\", expected a finite number",
                "'lora_dropout':1 | field 'lora_dropout' is 1.0, expected 0 <= p < 1",
                "'target_modules':'(' | field 'target_modules' holds '(', no regular expression",
                "'target_modules':[1] | field 'target_modules' is 1, expected a text",
                "'rank_pattern':{'q':0} | field 'rank_pattern.q' is 0",
                "'rank_pattern':{'[':1} | field 'rank_pattern' holds",
                "'layers_pattern':'h' | field 'layers_pattern' is given without layers_to_transform",
                "'target_modules':'.*','layers_to_transform':[1] | field 'layers_to_transform' cannot stand beside",
            })
    void whatIsNotPlainLoraIsRefusedByName(String fields, String message) {
        assertThatThrownBy(() -> parse(fields))
                .isInstanceOf(FormatException.class)
                .hasMessageStartingWith("test: ")
                .hasMessageContaining(message);
    }

    @Test
    void missingFileIsNamed() {
        assertThatThrownBy(() -> PeftLoraConfig.read(directory))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining(PeftLoraConfig.FILE + ": no such file");
    }

    @Test
    void builtConfigurationHasAllFieldsOfPeft() throws IOException {
        PeftLoraConfig config = PeftLoraConfig.builder()
                .rank(4)
                .alpha(8)
                .targets("gate_proj", "v_proj", "o_proj", "k_proj", "up_proj", "down_proj", "q_proj")
                .baseModel("models/llama_gqa")
                .build();
        assertThat(config.toJson())
                .isEqualTo(Files.readString(Fixtures.path("adapters/llama_gqa/lora/" + PeftLoraConfig.FILE)));
    }

    @Test
    void builderSetsEveryField() {
        Map<String, Integer> ranks = new LinkedHashMap<>();
        ranks.put("down_proj", 2);
        PeftLoraConfig config = PeftLoraConfig.builder()
                .rank(16)
                .alpha(32.5)
                .dropout(0.1)
                .targetPattern("all-linear")
                .exclude("k_proj")
                .rankPattern(ranks)
                .alphaPattern(Map.of("up_proj", 3.0))
                .rankStabilised(true)
                .build();
        assertThat(config.alpha()).isEqualTo(32.5);
        assertThat(config.dropout()).isEqualTo(0.1);
        assertThat(config.rankStabilised()).isTrue();
        assertThat(config.rank("x.down_proj")).isEqualTo(2);
        assertThat(config.alpha("x.up_proj")).isEqualTo(3);
        assertThat(config.targets("x.k_proj")).isFalse();
        assertThat(config.targets("x.q_proj")).isTrue();
        assertThatThrownBy(() -> PeftLoraConfig.builder().rank(0).build()).isInstanceOf(FormatException.class);
    }

    /** A configuration with these fields besides peft_type; single quotes stand for double ones. */
    private static PeftLoraConfig parse(String fields) {
        String type = fields.contains("'peft_type'") ? "" : "'peft_type':'LORA',";
        return PeftLoraConfig.parse("test", ("{" + type + fields + "}").replace('\'', '"'));
    }
}
