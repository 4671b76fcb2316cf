package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Every reader of files from elsewhere, on mutated files for as long as it is told: each is read, or refused with a
 * {@link FormatException}, soon, and nothing native stays open. {@code -Dgraft.fuzz.seconds=3600} for all readers together, which
 * share it evenly; {@code -Dgraft.fuzz.seed=N} other files. What fails is kept in {@code target/fuzz}.
 */
@Timeout(value = 1, unit = TimeUnit.DAYS)
class FuzzTest {
    private static final double SECONDS = Double.parseDouble(System.getProperty("graft.fuzz.seconds", "3.5"));
    private static final long SEED = Long.getLong("graft.fuzz.seed", 1);
    private static final int SLOWEST_SECONDS = 20;
    private static final int LARGEST_TENSOR = 1 << 24;

    @TempDir
    Path folder;

    /** A reader and the good files that its mutants are made of. */
    enum Target {
        SAFETENSORS("adapters/llama_gqa/lora_rs/adapter_model.safetensors", "ops/gradient_clip/above.safetensors") {
            @Override
            void read(Path file, Context context) {
                try (SafetensorsFile opened = SafetensorsFile.open(file)) {
                    readAll(opened, context);
                }
            }
        },
        CONFIG(
                "models/llama_rope3/config.json",
                "models/gemma3/config.json",
                "models/glm4/config.json",
                "models/codegen/config.json",
                "models/llama_yarn/config.json",
                "models/phi3/config.json") {
            @Override
            void read(Path file, Context context) {
                LlamaConfig config = LlamaConfig.read(file);
                assertThat(LlamaConfig.parse("again", config.toJson()).layers()).isEqualTo(config.layers());
            }
        },
        TOKENIZER("models/llama_tied/tokenizer.json") {
            @Override
            void read(Path file, Context context) {
                try (Tokenizer tokenizer = Tokenizer.load(file)) {
                    assertThat(tokenizer.size()).isPositive();
                }
            }
        },
        ADAPTER_CONFIG(
                "adapters/llama_gqa/lora_pattern/adapter_config.json",
                "adapters/llama_gqa/lora_layers/adapter_config.json") {
            @Override
            void read(Path file, Context context) {
                PeftLoraConfig config = PeftLoraConfig.read(file);
                config.targets("model.layers.0.self_attn.q_proj");
                PeftLoraConfig.parse("again", config.toJson());
            }
        },
        CHAT_TEMPLATE("chat/chatml.jinja", "chat/inst.jinja", "chat/headers.jinja", "chat/thinking.jinja") {
            @Override
            void read(Path file, Context context) throws IOException {
                String source = new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
                ChatTemplate.of(
                                file.toString(),
                                source,
                                Map.of("bos_token", "<s>"),
                                () -> LocalDateTime.of(2025, 3, 4, 5, 6))
                        .render(List.of(new TreeMap<>(Map.of("role", "user", "content", "hello"))), true);
            }
        },
        PARQUET {
            @Override
            List<byte[]> seeds() throws IOException {
                return ParquetSeeds.files();
            }

            @Override
            void read(Path file, Context context) throws IOException {
                Path named = file.resolveSibling("mutant.parquet");
                Files.copy(file, named, StandardCopyOption.REPLACE_EXISTING);
                TextFiles.read(named, new TextFiles.Documents() {
                    @Override
                    public void text(String text) {}

                    @Override
                    public void row(String where, JsonFields fields) {}
                });
            }
        },
        PICKLE("torch/mixed_protocol4.pt", "torch/mixed.pt") {
            @Override
            void read(Path file, Context context) {
                try (TorchFile opened = TorchFile.open(file)) {
                    readAll(opened, context);
                }
            }
        };

        private final String[] seeds;

        Target(String... seeds) {
            this.seeds = seeds;
        }

        abstract void read(Path file, Context context) throws IOException;

        List<byte[]> seeds() throws IOException {
            List<byte[]> all = new ArrayList<>();
            for (String seed : seeds) {
                all.add(Files.readAllBytes(Fixtures.path(seed)));
            }
            return all;
        }
    }

    private static void readAll(TensorSource source, Context context) {
        for (String name : source.names()) {
            long[] shape = source.shape(name);
            long elements = 1;
            for (long size : shape) {
                elements *= size;
            }
            // why: a header may say more dimensions than tensors have; and the numbers of large ones are like those of
            // others.
            if (shape.length > 0 && shape.length <= 4 && elements < LARGEST_TENSOR) {
                try (Scope scope = context.scope()) {
                    Tensor value = scope.tensor(Memory.WORKSPACE, source.dtype(name), shape);
                    source.read(name, value);
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void mutantsAreReadOrRefused(Target target) throws IOException {
        Mutants mutants = new Mutants(target.seeds(), SEED);
        Path file = folder.resolve("mutant");
        long end = System.nanoTime() + (long) (SECONDS * 1e9 / Target.values().length);
        int refused = 0;
        int count = 0;
        try (Context context = Context.cpu(1)) {
            // why at least so many: a machine may be slow, and a test that tries nothing proves nothing.
            for (; count < 20 || System.nanoTime() < end; count++) {
                byte[] mutant = mutants.next();
                Files.deleteIfExists(file); // why: to write a file over may wait for the disk
                Files.write(file, mutant);
                long start = System.nanoTime();
                try {
                    target.read(file, context);
                } catch (FormatException e) {
                    assertThat(e.getMessage()).isNotBlank();
                    refused++;
                } catch (RuntimeException | IOException | Error e) {
                    throw new AssertionError(kept(target, count, mutant) + ": not a FormatException but " + e, e);
                }
                if (System.nanoTime() - start > SLOWEST_SECONDS * 1_000_000_000L) {
                    throw new AssertionError(kept(target, count, mutant) + ": took over " + SLOWEST_SECONDS + " s");
                }
            }
        }
        assertThat(Context.liveHandles()).isZero();
        assertThat(refused).as(count + " mutants").isPositive();
    }

    private static Path kept(Target target, int number, byte[] mutant) throws IOException {
        Path folder = Files.createDirectories(Path.of("target", "fuzz"));
        return Files.write(folder.resolve(target.name().toLowerCase(Locale.ROOT) + "-" + SEED + "-" + number), mutant);
    }
}
