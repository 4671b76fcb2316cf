package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.io.LlamaConfig;
import io.graft.tensor.Context;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code plan}: the bytes that runs then take, and models that no machine here could hold. */
class PlanTest {
    private static final Path MODEL = Cli.model("llama_tied");

    @TempDir
    Path folder;

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    @Test
    void aMethodThatCannotIsARowWithTheReason() {
        Object[] plan = {"plan", "--model", MODEL, "--length", 16, "--quantize", "nf4", "--methods"};
        Cli run = Cli.run(FinetuneRuns.with(plan, "lora,dora,ia3"));
        assertThat(run.status()).as(run.err()).isZero();
        assertThat(run.out())
                .containsPattern("(?m)^dora +-")
                .containsPattern("(?m)^dora: .+")
                .containsPattern("(?m)^lora +[0-9]");
        Cli json = Cli.run(FinetuneRuns.with(plan, "lora,dora", "--json"));
        assertThat(json.events("unplanned").get(0).get("reason").asText()).isNotEmpty();
        assertThat(Cli.run(FinetuneRuns.with(plan, "dora")).status()).isEqualTo(1);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "full",
                "lora",
                "dora",
                "paca",
                "shira",
                "ia3",
                "prompt",
                "bottleneck",
                "sketchtune",
                "lst",
                "lora --quantize nf4",
                "lora --dtype bf16",
                "full --dtype bf16 --gradient-checkpointing",
                "full --optimizer mezo"
            })
    void aRunTakesWhatWasPlanned(String method) throws Exception {
        List<Object> shared = new ArrayList<>(List.of("--json", "--threads", 2, "--model", MODEL, "--batch", 2));
        shared.addAll(List.of("--length", 64, "--method"));
        shared.addAll(Arrays.asList(method.split(" ")));
        List<Object> finetune = new ArrayList<>(List.of("finetune", "--out", folder.resolve("out"), "--data", text()));
        finetune.addAll(List.of("--steps", 2, "--lr", "1e-4"));
        finetune.addAll(shared);
        Cli run = Cli.run(finetune.toArray());
        assertThat(run.status()).as(run.err()).isZero();
        shared.add(0, "plan");
        Cli plan = Cli.run(shared.toArray());
        assertThat(plan.status()).as(plan.err()).isZero();

        JsonNode planned = plan.events("plan").get(0);
        List<JsonNode> steps = run.events("step");
        long held = 0;
        for (String category : List.of("base", "adapter", "gradient", "optimizer", "activation", "workspace")) {
            held += planned.get(category + "_bytes").asLong();
        }
        assertThat(held)
                .isCloseTo(steps.get(steps.size() - 1).get("memory_bytes").asLong(), Percentage.withPercentage(5));
        assertThat(planned.get("peak_bytes").asLong())
                .isCloseTo(run.events("done").get(0).get("peak_memory_bytes").asLong(), Percentage.withPercentage(5));
        assertThat(planned.get("trained_parameters"))
                .isEqualTo(run.events("start").get(0).get("trained_parameters"));
    }

    /** Training a model whose weights are most of what it takes. */
    private List<Object> full(String dtype) throws IOException {
        String config =
                LlamaConfig.llama(1024, 256, 704, 4, 4, 4, 64, 512, 1e-5, true).toJson();
        Files.writeString(folder.resolve("config.json"), config);
        List<Object> arguments = new ArrayList<>(List.of("plan", "--json", "--threads", 2, "--model", folder));
        arguments.addAll(List.of("--batch", 2, "--length", 64, "--dtype", dtype));
        return arguments;
    }

    private static Cli plan(List<Object> arguments, String... more) {
        List<Object> all = new ArrayList<>(arguments);
        all.addAll(List.of(more));
        Cli run = Cli.run(all.toArray());
        assertThat(run.status()).as(run.err()).isZero();
        return run;
    }

    private static long peak(JsonNode event) {
        return event.get("peak_bytes").asLong();
    }

    @ParameterizedTest
    @ValueSource(strings = {"f32", "bf16"})
    void whatWouldSaveMemoryIsPlanned(String dtype) throws IOException {
        Cli run = plan(full(dtype), "--methods", "ia3,full");
        long whole = peak(run.events("plan").get(1));
        List<JsonNode> savings = run.events("saving");
        assertThat(savings).hasSize(dtype.equals("bf16") ? 5 : 4);
        long before = 0;
        for (JsonNode saving : savings.subList(0, savings.size() - 1)) {
            String options = saving.get("options").asText();
            assertThat(saving.get("method").asText()).isEqualTo("full");
            assertThat(peak(saving)).as(options).isBetween(before, whole * 98 / 100);
            before = peak(saving);
            Cli alone = plan(full(dtype), ("--method full " + options).split(" "));
            assertThat(peak(alone.events("plan").get(0))).as(options).isEqualTo(peak(saving));
        }
        JsonNode all = savings.get(savings.size() - 1);
        assertThat(peak(all)).isLessThan(peak(savings.get(0)));
        Cli together = plan(full(dtype), ("--method full " + all.get("options").asText()).split(" "));
        assertThat(peak(together.events("plan").get(0))).isEqualTo(peak(all));
        assertThat(savings)
                .extracting(saving -> saving.get("options").asText())
                .contains("--optimizer adamw_8bit", "--optimizer-in-backward --clip 0")
                .satisfies(options ->
                        assertThat(options.contains("--stochastic-rounding")).isEqualTo(dtype.equals("bf16")));
    }

    /** Another optimiser is not proposed to who has named one, nor what does not go with it. */
    @Test
    void whatIsNamedStays() throws IOException {
        assertThat(plan(full("f32"), "--method", "full", "--optimizer=mezo").events("saving"))
                .allSatisfy(saving -> assertThat(saving.get("options").asText()).isEqualTo("--gradient-checkpointing"));
        assertThat(plan(full("f32"), "--method", "full", "--clip", "2").events("saving"))
                .noneSatisfy(
                        saving -> assertThat(saving.get("options").asText()).contains("--clip"));
        List<Object> people = new ArrayList<>(full("bf16"));
        people.remove("--json");
        assertThat(plan(people, "--method", "full").out())
                .contains("less memory for full", "--optimizer adamw_8bit", "all of these")
                .containsPattern("--stochastic-rounding +[\\d.]+ [KM]iB +\\d\\d %");
    }

    @Test
    void everyMethodCanBePlanned() {
        List<String> names = Method.all().stream()
                .map(Method::name)
                .filter(name -> !List.of("fusion", "mole").contains(name)) // want adapters that are trained already
                .toList();
        Cli run = Cli.run("plan", "--model", MODEL, "--length", 32, "--json", "--methods", String.join(",", names));
        assertThat(run.err()).isEmpty();
        assertThat(run.events("plan"))
                .extracting(row -> row.get("method").asText())
                .isEqualTo(names);
    }

    /** Llama 3.1 70B from its configuration alone: 141 GB in bf16, and LoRA's 207 million numbers of rank 16. */
    @Test
    void aModelOfAnySizeIsPlannedFromItsConfiguration() throws Exception {
        Files.writeString(folder.resolve("config.json"), """
                {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8192,
                 "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
                 "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072,
                 "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "hidden_act": "silu", "torch_dtype": "bfloat16",
                 "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                                  "original_max_position_embeddings": 8192, "rope_type": "llama3"},
                 "tie_word_embeddings": false}
                """);
        long start = System.nanoTime();
        Cli run = Cli.run(
                "plan",
                "--model",
                folder,
                "--dtype",
                "bf16",
                "--batch",
                1,
                "--length",
                2048,
                "--rank",
                16,
                "--json",
                "--method",
                "lora,full");
        assertThat(run.status()).as(run.err()).isZero();
        assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofMinutes(2));
        JsonNode lora = run.events("plan").get(0);
        assertThat(lora.get("trained_parameters").asLong()).isEqualTo(207_093_760L);
        // 70.55e9 weights of two bytes, and borders of 32 columns and rows around the layers.
        assertThat(lora.get("base_bytes").asLong()).isBetween(141_000_000_000L, 143_000_000_000L);
        JsonNode full = run.events("plan").get(1);
        assertThat(full.get("optimizer_bytes").asLong())
                .isCloseTo(8 * full.get("trained_parameters").asLong(), Percentage.withPercentage(0.1));
        assertThat(full.get("peak_bytes").asLong()).isGreaterThan(1_200_000_000_000L);
    }

    @Test
    void badInputIsNamed() {
        assertThat(Cli.run("plan", "--model", folder.resolve("none")).err()).contains("--model does not exist");
        assertThat(Cli.run("plan", "--model", MODEL, "--method", "lorra").err()).contains("unknown method 'lorra'");
        assertThat(Cli.run("plan", "--model", MODEL, "--length", 1).err()).contains("--length must be at least 2");
    }

    private Path text() throws Exception {
        return Files.writeString(folder.resolve("text.txt"), "assertEquals(1, list.get(1));\n".repeat(40));
    }
}
