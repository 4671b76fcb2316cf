package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PeftPacaConfigTest {
    private static final String Q = "model.layers.0.self_attn.q_proj";

    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(strings = {"paca", "paca_official"})
    void publishedFilesComeBackByteForByte(String name) {
        Path adapter = Fixtures.path("adapters/llama_gqa/" + name);
        PeftPacaConfig.read(adapter).write(directory);
        assertThat(directory.resolve(PeftConfig.FILE)).hasSameTextualContentAs(adapter.resolve(PeftConfig.FILE));
    }

    /** The modules that a configuration names must be those whose columns were saved. */
    @ParameterizedTest
    @ValueSource(strings = {"paca", "paca_official"})
    void targetsAndRanksAreThoseOfTheTensors(String name) {
        Path adapter = Fixtures.path("adapters/llama_gqa/" + name);
        PeftPacaConfig config = PeftPacaConfig.read(adapter);
        Set<String> targeted = new TreeSet<>();
        Set<String> saved = new TreeSet<>();
        try (Checkpoint base = Checkpoint.open(Fixtures.path("models/llama_gqa"));
                SafetensorsFile file = SafetensorsFile.open(adapter.resolve("adapter_model.safetensors"))) {
            for (String weight : base.names()) {
                String module = weight.substring(0, weight.length() - ".weight".length());
                if (base.shape(weight).length == 2 && config.targets(module)) {
                    targeted.add(module);
                }
            }
            for (String key : file.names()) {
                String module = key.substring("base_model.model.".length(), key.lastIndexOf('.'));
                if (key.endsWith(".paca_indices")) {
                    saved.add(module);
                    assertThat((long) config.rank(module)).as(module).isEqualTo(file.shape(key)[0]);
                }
            }
        }
        assertThat(targeted).isNotEmpty().isEqualTo(saved);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "'peft_type':'PACA'",
                "'r':null,'paca_alpha':null,'random_seed':null,'bias':null,'init_weights':null,'fan_in_fan_out':null,"
                        + "'target_modules':null,'rank_pattern':null"
            })
    void fieldsThatAreAbsentOrNullHaveDefaults(String fields) {
        PeftPacaConfig config = parse(fields);
        assertThat(config.rank()).isEqualTo(8);
        assertThat(config.alpha()).isEqualTo(8);
        assertThat(config.rank(Q)).isEqualTo(8);
        assertThat(config.scale(Q)).isEqualTo(1);
        assertThat(config.randomSeed()).isZero();
        assertThat(config.targets(Q)).isTrue();
        assertThat(config.targets("model.layers.0.self_attn.v_proj")).isTrue();
        assertThat(config.targets("model.layers.0.self_attn.k_proj")).isFalse();
        assertThat(config.allLinear()).isFalse();
        assertThat(config.modulesToSave()).isEmpty();
        assertThat(config.baseModel()).isNull();
    }

    @Test
    void patternsChangeSingleModules() {
        PeftPacaConfig config = parse("'r':4,'paca_alpha':8,'rank_pattern':{'self_attn.[qk]_proj':16,'q_proj':5},"
                + "'alpha_pattern':{'layers.1.mlp.up_proj':12}");
        assertThat(config.rank(Q)).isEqualTo(16);
        assertThat(config.rank("x.q_proj")).isEqualTo(5);
        assertThat(config.scale(Q)).isEqualTo(0.5);
        assertThat(config.alpha("model.layers.1.mlp.up_proj")).isEqualTo(12);
        assertThat(config.scale("model.layers.1.mlp.up_proj")).isEqualTo(3);
        assertThat(config.alpha("model.layers.0.mlp.up_proj")).isEqualTo(config.alpha());
        assertThat(config.rank("model.layers.0.mlp.up_proj")).isEqualTo(config.rank());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "['q_proj'] | null | true",
                "['self_attn.q_proj'] | null | true",
                "['_proj'] | null | false",
                "'.*q_proj' | null | true",
                "'q_proj' | null | false",
                "'.*\\\\.(?P<which>[qk])_proj' | null | true",
                "'all-linear' | null | true",
                "'all-linear' | ['q_proj'] | false",
                "['q_proj'] | '.*\\\\.0\\\\..*' | false",
            })
    void targetsFollowPeftsRules(String targets, String excluded, boolean expected) {
        PeftPacaConfig config = parse("'target_modules':" + targets + ",'exclude_modules':" + excluded);
        assertThat(config.targets(Q)).isEqualTo(expected);
    }

    @Test
    void layersAreChosenByNumber() {
        PeftPacaConfig config =
                parse("'target_modules':['q_proj'],'layers_to_transform':[2],'layers_pattern':'layers'");
        assertThat(config.targets(Q)).isFalse();
        assertThat(config.targets("model.layers.2.self_attn.q_proj")).isTrue();
    }

    @Test
    void fullyTrainedModulesHaveNoColumns() {
        PeftPacaConfig config = parse("'target_modules':['q_proj','lm_head'],'modules_to_save':['lm_head']");
        assertThat(config.targets("lm_head")).isFalse();
        assertThat(config.saves("lm_head")).isTrue();
        assertThat(config.saves(Q)).isFalse();
        assertThat(config.modulesToSave()).containsExactly("lm_head");
    }

    @ParameterizedTest
    @ValueSource(longs = {0, -1, 1L << 40, (1L << 53) + 1, Long.MAX_VALUE})
    void seedsAreExact(long seed) {
        assertThat(parse("'random_seed':" + seed).randomSeed()).isEqualTo(seed);
        PeftPacaConfig.builder().randomSeed(seed).build().write(directory);
        assertThat(PeftPacaConfig.read(directory).randomSeed()).isEqualTo(seed);
    }

    @Test
    void unknownFieldsSurvive() {
        parse("'gradient_accumulation_steps':4,'from_the_future':{'b':[1,2.5],'a':'é'}")
                .write(directory);
        String json = PeftPacaConfig.read(directory).toJson();
        assertThat(json)
                .contains(
                        "\"from_the_future\": {\n    \"a\": \"\\u00e9\",\n    \"b\": [\n      1,\n      2.5\n    ]\n  }")
                .contains("\"gradient_accumulation_steps\": 4")
                .contains("\"inference_mode\": true");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'peft_type':'LORA' | field 'peft_type' is 'LORA', supported is 'PACA'",
                "'peft_type':'paca' | field 'peft_type' is 'paca', supported is 'PACA'",
                "'peft_type':null | field 'peft_type' is missing",
                "'bias':'all' | field 'bias' is \"all\", supported is none",
                "'fan_in_fan_out':true | field 'fan_in_fan_out' is true, supported is false",
                "'init_weights':false | field 'init_weights' is false, supported is true",
                "'init_weights':'gaussian' | field 'init_weights' is \"gaussian\", supported is true",
                "'init_weights':'true' | field 'init_weights' is \"true\", supported is true",
                "'init_weights':[] | field 'init_weights' is [], supported is true",
                "'r':0 | field 'r' is 0, expected at least 1",
                "'r':2.5 | field 'r' is 2.5, expected an integer of 32 bits",
                "'paca_alpha':'8' | field 'paca_alpha' is \"8\", expected a finite number",
                "'random_seed':1.5 | field 'random_seed' is 1.5, expected a whole number of 64 bits",
                "'random_seed':9223372036854775808 | field 'random_seed' is 9223372036854775808, expected a whole number of 64 bits",
                "'target_modules':[1] | field 'target_modules' is 1, expected a text",
                "'rank_pattern':{'q':0} | field 'rank_pattern.q' is 0, expected at least 1",
                "'alpha_pattern':{'q':'1'} | field 'alpha_pattern.q' is \"1\", expected a finite number",
                "'layers_pattern':'h' | field 'layers_pattern' is given without layers_to_transform",
            })
    void whatWouldChangeTheResultIsRefusedByName(String fields, String message) {
        assertThatThrownBy(() -> parse(fields))
                .isInstanceOf(FormatException.class)
                .hasMessage("test: " + message);
    }

    @Test
    void missingFileIsNamed() {
        assertThatThrownBy(() -> PeftPacaConfig.read(directory))
                .isInstanceOf(FormatException.class)
                .hasMessage(directory.resolve(PeftConfig.FILE) + ": no such file");
    }

    @Test
    void builtConfigurationHasAllFields() throws IOException {
        PeftPacaConfig.builder()
                .rank(4)
                .alpha(6)
                .targets("q_proj")
                .baseModel("b")
                .build()
                .write(directory);
        String expected = "{'alpha_pattern': {},'auto_mapping': null,'base_model_name_or_path': 'b','bias': 'none',"
                + "'exclude_modules': null,'fan_in_fan_out': false,'inference_mode': true,'init_weights': true,"
                + "'layers_pattern': null,'layers_to_transform': null,'modules_to_save': null,'paca_alpha': 6,"
                + "'peft_type': 'PACA','peft_version': '0.21.0','r': 4,'random_seed': 0,'rank_pattern': {},"
                + "'revision': null,'target_modules': ['q_proj'],'task_type': 'CAUSAL_LM'}";
        String written = Files.readString(directory.resolve(PeftConfig.FILE));
        assertThat(written.replaceAll("\n *", "")).isEqualTo(expected.replace('\'', '"'));
    }

    @Test
    void builderSetsEveryField() {
        PeftPacaConfig config = PeftPacaConfig.builder()
                .rank(16)
                .alpha(32.5)
                .targetPattern("all-linear")
                .exclude("k_proj")
                .modulesToSave("embed_tokens")
                .rankPattern(Map.of("down_proj", 2))
                .alphaPattern(Map.of("up_proj", 3.0))
                .randomSeed(7)
                .baseModel("base")
                .build();
        config.write(directory);
        for (PeftPacaConfig either : new PeftPacaConfig[] {config, PeftPacaConfig.read(directory)}) {
            assertThat(either.rank()).isEqualTo(16);
            assertThat(either.alpha()).isEqualTo(32.5);
            assertThat(either.rank("x.down_proj")).isEqualTo(2);
            assertThat(either.alpha("x.up_proj")).isEqualTo(3);
            assertThat(either.targets("x.k_proj")).isFalse();
            assertThat(either.targets("x.q_proj")).isTrue();
            assertThat(either.targets("lm_head")).isFalse();
            assertThat(either.allLinear()).isTrue();
            assertThat(either.saves("model.embed_tokens")).isTrue();
            assertThat(either.randomSeed()).isEqualTo(7);
            assertThat(either.baseModel()).isEqualTo("base");
            assertThat(either).hasToString("PeftPacaConfig[r=16, alpha=32.5, target_modules=\"all-linear\"]");
        }
    }

    @Test
    void builderRefusesValuesOutOfRange() {
        assertThatThrownBy(() -> PeftPacaConfig.builder().rank(0).build())
                .isInstanceOf(FormatException.class)
                .hasMessage("new PaCA configuration: field 'r' is 0, expected at least 1");
    }

    /** A configuration with these fields besides peft_type; single quotes stand for double ones. */
    private static PeftPacaConfig parse(String fields) {
        String type = fields.contains("'peft_type'") ? "" : "'peft_type':'PACA',";
        return PeftPacaConfig.parse("test", ("{" + type + fields + "}").replace('\'', '"'));
    }
}
