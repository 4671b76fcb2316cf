package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CheckpointTest {
    private static final String INDEX = "model.safetensors.index.json";

    @TempDir
    Path directory;

    @BeforeEach
    void copyShardedModel() throws IOException {
        try (Stream<Path> files = Files.list(Fixtures.path("models/llama_rope3"))) {
            for (Path file : (Iterable<Path>) files::iterator) {
                Files.copy(file, directory.resolve(file.getFileName()));
            }
        }
    }

    @Test
    void singleFileAndShardsAreOneSetOfTensors() {
        try (Checkpoint single = Checkpoint.open(Fixtures.path("models/llama_gqa"));
                Checkpoint sharded = Checkpoint.open(directory)) {
            assertThat(single.files()).containsExactly("model.safetensors");
            assertThat(sharded.files()).hasSize(3);
            assertThat(sharded.names()).hasSize(21).containsExactlyInAnyOrderElementsOf(single.names());
            assertThat(sharded.shape("model.layers.1.self_attn.k_proj.weight")).containsExactly(24, 48);
            assertThat(sharded.metadata()).isEqualTo(Map.of("format", "pt"));
            assertThatThrownBy(() -> sharded.shape("x"))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessageContaining("no tensor 'x'");
        }
    }

    /** Names of before transformers 4.52 in the files, those of modules here. */
    @Test
    void olderNamesOfTowersBecomeThoseOfModules() {
        try (Checkpoint checkpoint = Checkpoint.open(Fixtures.path("models/gemma3_multimodal"))) {
            String name = "model.language_model.layers.1.self_attn.q_proj.weight";
            assertThat(checkpoint.names())
                    .contains(name, "model.vision_tower.post_layernorm.bias")
                    .allMatch(each -> each.startsWith("model."));
            assertThat(checkpoint.stored(name)).isEqualTo("language_model.model.layers.1.self_attn.q_proj.weight");
            assertThat(checkpoint.stored("lm_head.weight")).isEqualTo("language_model.lm_head.weight");
            assertThat(checkpoint.shape(name)).containsExactly(48, 32);
        }
    }

    @Test
    void oneTensorUnderTwoNamesIsRefused() {
        try (Context context = Context.cpu();
                Scope scope = context.scope()) {
            Tensor tensor = scope.tensor(Memory.BASE, DType.F32, 1);
            SafetensorsWriter.write(
                    directory.resolve("model.safetensors"),
                    Map.of("language_model.model.norm.weight", tensor, "model.language_model.norm.weight", tensor),
                    SafetensorsWriter.PYTORCH);
        }
        assertThatThrownBy(() -> Checkpoint.open(directory))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("tensor 'model.language_model.norm.weight' is there under two names");
    }

    @Test
    void missingShardIsNamed() throws IOException {
        Files.delete(directory.resolve("model-00002-of-00003.safetensors"));
        assertThatThrownBy(() -> Checkpoint.open(directory))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("model-00002-of-00003.safetensors: no such file");
    }

    @Test
    void tensorMissingFromItsShardIsNamed() throws IOException {
        replaceInIndex("\"lm_head.weight\"", "\"other.weight\"");
        assertThatThrownBy(() -> Checkpoint.open(directory))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("tensor 'other.weight' is not in its shard");
    }

    @ParameterizedTest
    @ValueSource(strings = {"../x.safetensors", "/etc/passwd", "a/b", "..", ".hidden", "", "a\\\\b", "a\\u0000b"})
    void shardOutsideTheDirectoryIsRefused(String shard) throws IOException {
        replaceInIndex("\"model-00003-of-00003.safetensors\"", "\"" + shard + "\"");
        assertThatThrownBy(() -> Checkpoint.open(directory))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("not a plain file name");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"", "[]", "{}", "{\"weight_map\":[]}", "{\"weight_map\":{\"a\":1}}", "{\"weight_map\":{}}x"})
    void indexThatIsNoneIsRefused(String json) throws IOException {
        Files.writeString(directory.resolve(INDEX), json);
        assertThatThrownBy(() -> Checkpoint.open(directory))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining(INDEX);
    }

    @Test
    void directoryWithoutWeightsIsRefused() {
        assertThatThrownBy(() -> Checkpoint.open(directory.resolve("none")))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("holds neither model.safetensors nor");
    }

    private void replaceInIndex(String from, String to) throws IOException {
        Path index = directory.resolve(INDEX);
        String text = Files.readString(index);
        assertThat(text).contains(from);
        Files.writeString(index, text.replace(from, to));
    }
}
