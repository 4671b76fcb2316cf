package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Seeded mutations of good JSON files: each is either read or refused with a {@link FormatException}. More of each:
 * {@code -Dgraft.mutations=100000}.
 */
@Timeout(value = 1, unit = TimeUnit.HOURS)
class ConfigMutationTest {
    private static final int MUTATIONS = Integer.getInteger("graft.mutations", 500);
    private static final String[] PIECES = {
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "-",
        "0",
        "1e9",
        "1e999",
        "99999999999999999999",
        "null",
        "true",
        "\\",
        "\"(\"",
        "\"*\"",
        "[1]",
        "[\"a\"]",
        "{\"a\":1}",
        "..",
        "/",
        "\u0000",
        "é"
    };

    @TempDir
    Path directory;

    @Test
    void modelConfigurations() throws IOException {
        mutate(Fixtures.path("models/llama_rope3/config_v4.json"), LlamaConfig::read);
        for (String model : Fixtures.models()) {
            mutate(Fixtures.path("models/" + model + "/config.json"), LlamaConfig::read);
        }
    }

    @Test
    void adapterConfigurations() throws IOException {
        for (String name : new String[] {"lora_pattern", "lora_layers"}) {
            mutate(Fixtures.path("adapters/llama_gqa/" + name + "/" + PeftLoraConfig.FILE), file -> {
                PeftLoraConfig config = PeftLoraConfig.read(file);
                config.targets("model.layers.0.self_attn.q_proj");
                assertThat(config.rank("model.layers.0.mlp.down_proj")).isPositive();
                assertThat(PeftLoraConfig.parse("again", config.toJson()).rank())
                        .isEqualTo(config.rank());
            });
        }
    }

    @Test
    void configurationsOfOtherAdapters() throws IOException {
        mutate(config("ia3"), file -> {
            PeftIa3Config config = PeftIa3Config.read(file);
            config.targets("model.layers.0.mlp.down_proj");
            config.feedForward("model.layers.0.mlp.down_proj");
        });
        mutate(config("prompt_tuning"), file -> {
            PeftPromptTuningConfig config = PeftPromptTuningConfig.read(file);
            assertThat(config.virtualTokens()).isPositive();
            assertThat(config.init()).isNotNull();
        });
        mutate(config("prefix_tuning"), file -> {
            PeftPrefixTuningConfig config = PeftPrefixTuningConfig.read(file);
            config.fit(2, 2, 24);
            assertThat(config.virtualTokens()).isPositive();
        });
        mutate(config("adalora"), file -> {
            PeftAdaLoraConfig config = PeftAdaLoraConfig.read(file);
            assertThat(config.rank("model.layers.0.self_attn.q_proj")).isBetween(0, config.initialRank());
            assertThat(config.scale()).isPositive();
            assertThat(config.schedule().total()).isPositive();
        });
        mutate(config("shira"), file -> {
            PeftShiraConfig config = PeftShiraConfig.read(file);
            assertThat(config.entries(24, 48)).isPositive();
            assertThat(config.maskType()).isNotNull();
            config.randomSeed();
        });
        mutate(config("miss"), file -> {
            PeftMissConfig config = PeftMissConfig.read(file);
            assertThat(config.rank()).isPositive();
            assertThat(config.dropout()).isBetween(0.0, 1.0);
            config.startsAtBase();
        });
        mutate(config("oft"), file -> {
            PeftOftConfig config = PeftOftConfig.read(file);
            assertThat(config.blockSize(48)).isPositive();
            assertThat(config.terms()).isBetween(0, 16);
        });
        mutate(config("boft"), file -> {
            PeftBoftConfig config = PeftBoftConfig.read(file);
            assertThat(config.factors()).isPositive();
            config.startsAtBase();
        });
        mutate(config("c3a"), file -> {
            PeftC3aConfig config = PeftC3aConfig.read(file);
            assertThat(config.blockSize("q_proj")).isPositive();
            assertThat(config.initialisation()).isNotNull();
        });
        mutate(config("fourierft"), file -> {
            PeftFourierConfig config = PeftFourierConfig.read(file);
            assertThat(config.frequencies("q_proj")).isPositive();
            assertThat(config.scaling()).isFinite();
            config.seed();
        });
        mutate(config("qalora"), file -> {
            PeftQaLoraConfig config = PeftQaLoraConfig.read(file);
            assertThat(config.rank("q_proj")).isPositive();
            assertThat(config.group()).isPositive();
        });
        mutate(config("hira"), file -> {
            PeftHiraConfig config = PeftHiraConfig.read(file);
            assertThat(config.rank("q_proj")).isPositive();
            assertThat(config.initialisation()).isNotNull();
        });
        mutate(config("glora"), file -> {
            PeftGloraConfig config = PeftGloraConfig.read(file);
            assertThat(config.rank()).isPositive();
            config.vectors();
        });
        mutate(config("loha"), file -> {
            PeftLohaConfig config = PeftLohaConfig.read(file);
            assertThat(config.rank("q_proj")).isPositive();
            assertThat(config.scale("q_proj")).isFinite();
        });
        mutate(config("lokr"), file -> {
            PeftLokrConfig config = PeftLokrConfig.read(file);
            assertThat(config.rank("q_proj")).isPositive();
            assertThat(config.scale("q_proj")).isFinite();
            assertThat(config.sizes(48, 104).p()).isPositive();
        });
        mutate(config("vera"), file -> {
            PeftVeraConfig config = PeftVeraConfig.read(file);
            assertThat(config.rank()).isPositive();
            assertThat(config.dropout()).isBetween(0.0, 1.0);
            config.initialScale();
            config.seed();
        });
        Path bottleneck = Files.writeString(
                directory.resolve("bottleneck.json"),
                PeftBottleneckConfig.of("base", PeftBottleneckConfig.SERIAL_TARGETS, 16, true)
                        .toJson());
        mutate(
                bottleneck,
                file -> assertThat(PeftBottleneckConfig.read(file).size()).isPositive());
        Path encoder = Files.writeString(
                directory.resolve("encoder.json"),
                PeftPromptEncoderConfig.of("base", 20, 32).toJson());
        mutate(
                encoder,
                file -> assertThat(PeftPromptEncoderConfig.read(file).fitEncoder(2, 4, 48))
                        .isPositive());
    }

    private static Path config(String adapter) {
        return Fixtures.path("adapters/llama_gqa/" + adapter + "/" + PeftConfig.FILE);
    }

    /** What a tokenizer of the library's makes of a text must be in the vocabulary, too. why few: most of it is texts. */
    @Test
    void tokenizers() throws IOException {
        int refused = mutations(Fixtures.path("models/llama_tied/tokenizer.json"), file -> {
            try (Tokenizer tokenizer = Tokenizer.load(file)) {
                assertThat(tokenizer.size()).isPositive();
                int[] ids = encode(tokenizer);
                assertThat(Arrays.stream(ids).max().orElse(0)).isLessThan(tokenizer.size());
            }
        });
        assertThat(refused).isGreaterThan(MUTATIONS / 10);
    }

    /** why: a model of a tokenizer that knows no character of a text may refuse the text, which is no file's fault. */
    private static int[] encode(Tokenizer tokenizer) {
        try {
            return tokenizer.encode("int é = 1;", false);
        } catch (RuntimeException refused) {
            return new int[0];
        }
    }

    @Test
    void indexOfShards() throws IOException {
        Path model = Fixtures.path("models/llama_rope3");
        for (int shard = 1; shard <= 3; shard++) {
            String name = "model-0000" + shard + "-of-00003.safetensors";
            Files.copy(model.resolve(name), directory.resolve(name));
        }
        mutate(
                model.resolve("model.safetensors.index.json"),
                file -> Checkpoint.open(directory).close());
    }

    private void mutate(Path original, Consumer<Path> reader) throws IOException {
        assertThat(mutations(original, reader)).isGreaterThan(MUTATIONS / 2);
    }

    /** How many mutants were refused. */
    private int mutations(Path original, Consumer<Path> reader) throws IOException {
        String seed = Files.readString(original);
        Path file = directory.resolve(original.getFileName());
        Random random = new Random(seed.length());
        int refused = 0;
        for (int i = 0; i < MUTATIONS; i++) {
            String mutant = mutate(seed, random);
            Files.deleteIfExists(file); // why: to write a file over may wait for the disk
            Files.write(
                    file,
                    mutant.getBytes(random.nextInt(50) == 0 ? StandardCharsets.ISO_8859_1 : StandardCharsets.UTF_8));
            try {
                reader.accept(file);
            } catch (FormatException e) {
                assertThat(e.getMessage()).isNotBlank();
                refused++;
            } catch (RuntimeException | StackOverflowError e) {
                throw new AssertionError("not a FormatException for: " + mutant, e);
            }
        }
        return refused;
    }

    /** One or two changes: a piece put in or over, a stretch removed, or the end cut off. */
    private static String mutate(String seed, Random random) {
        StringBuilder text = new StringBuilder(seed);
        for (int n = 1 + random.nextInt(2); n > 0; n--) {
            int at = random.nextInt(text.length());
            int end = Math.min(text.length(), at + 1 + random.nextInt(12));
            String piece = PIECES[random.nextInt(PIECES.length)];
            switch (random.nextInt(8)) {
                case 0, 1, 2 -> text.insert(at, piece);
                case 3, 4, 5 -> text.replace(at, end, piece);
                case 6 -> text.delete(at, end);
                default -> text.setLength(at + 1);
            }
        }
        return text.toString();
    }
}
