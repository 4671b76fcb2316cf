package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.graft.io.Tokenizer;
import io.graft.model.Generator;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code generate} with several prompts and several adapters. */
class GenerateTest {
    private static final Path MODEL = Cli.model("llama_tied");
    private static final Path ADAPTER = Cli.adapter("llama_tied", "lora");

    @TempDir
    Path folder;

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    private static List<String> texts(Object... more) {
        List<Object> line =
                new ArrayList<>(List.of("generate", "--model", MODEL, "--max-tokens", 8, "--temperature", 0, "--json"));
        line.addAll(List.of(more));
        Cli run = Cli.run(line.toArray());
        assertThat(run.err()).isEmpty();
        return run.events("generated").stream()
                .map(event -> event.get("text"))
                .map(JsonNode::asText)
                .toList();
    }

    @Test
    void eachPromptIsContinuedByItsAdapter() throws Exception {
        Path text = Files.writeString(folder.resolve("text.txt"), "aaaa bbbb aaaa bbbb\n".repeat(40));
        Path other = folder.resolve("other");
        Cli trained = Cli.run(
                "finetune",
                "--model",
                MODEL,
                "--data",
                text,
                "--method",
                "lora",
                "--steps",
                20,
                "--length",
                32,
                "--batch",
                2,
                "--out",
                other);
        assertThat(trained.status()).isZero();
        String prompt = "assertEquals(";
        String first = texts("--adapter", ADAPTER, "--prompt", prompt).get(0);
        String second = texts("--adapter", other, "--prompt", prompt).get(0);
        assertThat(first).isNotEqualTo(second);
        assertThat(texts("--adapter", ADAPTER, "--adapter", other, "--prompt", prompt, "--prompt", prompt))
                .containsExactly(first, second);
        assertThat(texts("--adapter", other, "--prompt", prompt, "--prompt", prompt))
                .containsExactly(second, second);
    }

    @Test
    void theTextEndsBeforeAStop() {
        String whole = texts("--prompt", "assertEquals(").get(0);
        String stop = whole.substring(3, 5);
        assertThat(texts("--prompt", "assertEquals(", "--stop", stop))
                .containsExactly(whole.substring(0, whole.indexOf(stop)));
        assertThat(texts("--prompt", "assertEquals(", "--repetition-penalty", 1000)
                        .get(0))
                .isNotEqualTo(whole);
    }

    /** By the model's template, whose special tokens are not doubled; the system's text and the user's count. */
    @Test
    void aChatIsWrittenDownByTheTemplate() throws Exception {
        Path model = copy();
        Object[] ask = {
            "generate", "--model", model, "--max-tokens", 8, "--temperature", 0, "--prompt", "list", "--chat"
        };
        assertThat(Cli.run(ask).err()).contains("has no chat template");
        Files.writeString(
                model.resolve("chat_template.jinja"),
                "{% for m in messages %}{{ m.role + '(' + m.content + ');' }}{% endfor %}{{ 'assert' if add_generation_prompt }}");
        Cli run = Cli.run(FinetuneRuns.with(ask, "--system", "be brief", "--json"));
        assertThat(run.err()).isEmpty();
        String plain = Cli.run(FinetuneRuns.with(ask, "--system", "be brief")).out();
        JsonNode made = run.events("generated").get(0);
        assertThat(plain).startsWith(made.get("text").asText()).doesNotContain("system(");
        String text = "system(be brief);user(list);assert";
        try (Tokenizer tokenizer = Tokenizer.load(model);
                Context context = Context.cpu(1);
                OpenModel opened = OpenModel.open(context, model, null, DType.F32, Quantization.NONE, false);
                Generator generator = new Generator(opened.llama())) {
            int[] expected = generator.greedy(tokenizer.encode(text, false), 8);
            assertThat(made.get("ids")).hasToString(Arrays.toString(expected).replace(" ", ""));
        }
        assertThat(Cli.run("generate", "--model", model, "--prompt", "a", "--system", "b")
                        .err())
                .contains("--system needs --chat");
    }

    private Path copy() throws Exception {
        Path model = Files.createDirectory(folder.resolve("model"));
        try (var files = Files.list(MODEL)) {
            for (Path file : (Iterable<Path>) files::iterator) {
                Files.copy(file, model.resolve(file.getFileName()));
            }
        }
        return model;
    }

    private List<JsonNode> lines(Path file) throws Exception {
        List<JsonNode> lines = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            lines.add(new ObjectMapper().readTree(line));
        }
        return lines;
    }

    /** Whatever the batch, each line gets what its prompt gets by itself, and keeps its other fields. */
    @Test
    void aFileOfPromptsIsContinuedTogether() throws Exception {
        Path model = copy();
        Files.writeString(
                model.resolve("chat_template.jinja"),
                "{% for m in messages %}{{ m.content }};{% endfor %}{{ 'assert' if add_generation_prompt }}");
        List<String> texts = List.of("assertEquals(", "a", "int x = list.get(1);\n", "list;assert");
        Path prompts = folder.resolve("prompts.jsonl");
        Files.writeString(
                prompts,
                "{\"id\": 4, \"prompt\": \"assertEquals(\"}\n{\"prompt\": \"a\"}\n\n"
                        + "{\"prompt\": \"int x = list.get(1);\\n\"}\n"
                        + "{\"messages\": [{\"role\": \"user\", \"content\": \"list\"}]}\n");
        for (int batch : new int[] {1, 3}) {
            for (Object[] how : new Object[][] {{"--temperature", 0}, {"--temperature", 0.9, "--seed", 3}}) {
                Path results = folder.resolve("results.jsonl");
                Object[] line = {
                    "generate",
                    "--model",
                    model,
                    "--max-tokens",
                    8,
                    "--prompts",
                    prompts,
                    "--results",
                    results,
                    "--batch",
                    batch,
                    "--cache-tokens",
                    128
                };
                Cli run = Cli.run(FinetuneRuns.with(line, how));
                assertThat(run.err()).isEmpty();
                List<JsonNode> made = lines(results);
                assertThat(made).hasSize(4);
                assertThat(made.get(0).get("id").asInt()).isEqualTo(4);
                for (int i = 0; i < 3; i++) {
                    Object[] alone = {
                        "generate", "--model", model, "--max-tokens", 8, "--json", "--prompt", texts.get(i)
                    };
                    JsonNode expected = Cli.run(FinetuneRuns.with(alone, how))
                            .events("generated")
                            .get(0);
                    assertThat(made.get(i).get("text")).isEqualTo(expected.get("text"));
                    assertThat(made.get(i).get("tokens")).isEqualTo(expected.get("ids"));
                }
                Object[] asked = {
                    "generate", "--model", model, "--max-tokens", 8, "--json", "--chat", "--prompt", "list"
                };
                assertThat(made.get(3).get("tokens"))
                        .isEqualTo(Cli.run(FinetuneRuns.with(asked, how))
                                .events("generated")
                                .get(0)
                                .get("ids"));
            }
        }
        Object[] line = {"generate", "--model", model, "--prompts", prompts, "--results", folder.resolve("none")};
        assertThat(Cli.run(FinetuneRuns.with(line, "--cache-tokens", 63)).err())
                .contains("pages of 64 tokens, and 63 tokens are room for 0");
        assertThat(Cli.run(FinetuneRuns.with(line, "--cache-tokens", 0)).err()).contains("--cache-tokens");
    }

    /** Tokens of generation_config.json and texts end a row; the line says which. */
    @Test
    void aRowSaysWhatEndedIt() throws Exception {
        Path model = copy();
        Path prompts = Files.writeString(folder.resolve("prompts.jsonl"), "{\"prompt\": \"assertEquals(\"}\n");
        Path results = folder.resolve("results.jsonl");
        Object[] line = {
            "generate",
            "--model",
            model,
            "--max-tokens",
            8,
            "--temperature",
            0,
            "--prompts",
            prompts,
            "--results",
            results
        };
        assertThat(Cli.run(line).status()).isZero();
        JsonNode whole = lines(results).get(0);
        assertThat(whole.get("end").asText()).isEqualTo("length");
        String text = whole.get("text").asText();
        Cli.run(FinetuneRuns.with(line, "--stop", text.substring(3, 5)));
        JsonNode stopped = lines(results).get(0);
        assertThat(stopped.get("end").asText()).isEqualTo("text");
        assertThat(stopped.get("text").asText()).isEqualTo(text.substring(0, text.indexOf(text.substring(3, 5))));
        int third = whole.get("tokens").get(2).asInt();
        Files.writeString(model.resolve("generation_config.json"), "{\"eos_token_id\": [2, " + third + "]}");
        Cli.run(line);
        JsonNode ended = lines(results).get(0);
        assertThat(ended.get("end").asText()).isEqualTo("token");
        assertThat(ended.get("tokens").size()).isLessThanOrEqualTo(3);
        assertThat(text).startsWith(ended.get("text").asText());
        Cli single = Cli.run(
                "generate",
                "--model",
                model,
                "--max-tokens",
                8,
                "--temperature",
                0,
                "--prompt",
                "assertEquals(",
                "--json");
        assertThat(single.events("generated").get(0).get("text")).isEqualTo(ended.get("text"));
    }

    @Test
    void linesWithAdaptersUseThem() throws Exception {
        Path prompts = Files.writeString(
                folder.resolve("prompts.jsonl"),
                "{\"prompt\": \"int a\", \"adapter\": \"%s\"}\n{\"prompt\": \"assertEquals(\", \"adapter\": \"%s\"}\n"
                        .formatted(ADAPTER, folder.resolve("other")));
        Path other = folder.resolve("other");
        Files.createDirectory(other);
        try (var files = Files.list(ADAPTER)) {
            for (Path file : (Iterable<Path>) files::iterator) {
                Files.copy(file, other.resolve(file.getFileName()));
            }
        }
        Path results = folder.resolve("results.jsonl");
        Object[] line = {
            "generate",
            "--model",
            MODEL,
            "--max-tokens",
            8,
            "--temperature",
            0,
            "--prompts",
            prompts,
            "--results",
            results,
            "--adapter",
            ADAPTER
        };
        assertThat(Cli.run(line).err()).contains("names the adapter", "but there are not several --adapter");
        assertThat(Cli.run(FinetuneRuns.with(line, "--adapter", other)).err()).isEmpty();
        assertThat(lines(results).get(1).get("text").asText())
                .isEqualTo(
                        texts("--adapter", ADAPTER, "--prompt", "assertEquals(").get(0));
        Files.writeString(prompts, "{\"prompt\": \"int a\"}\n");
        assertThat(Cli.run(FinetuneRuns.with(line, "--adapter", other)).err())
                .contains("prompts.jsonl:1: names no adapter", ADAPTER.toString(), "__base__");
        Files.delete(results);
        Files.writeString(
                prompts, "{\"prompt\": \"a\", \"adapter\": \"__base__\"}\n{\"prompt\": \"a\", \"adapter\": \"x\"}\n");
        assertThat(Cli.run(FinetuneRuns.with(line, "--adapter", other)).err())
                .contains("prompts.jsonl:2: names the adapter x");
        assertThat(results).doesNotExist();
    }

    @Test
    void whereResultsCannotGoIsSaidFirst() throws Exception {
        Path prompts = Files.writeString(folder.resolve("prompts.jsonl"), "not read\n");
        Object[] line = {"generate", "--model", MODEL, "--prompts", prompts, "--results"};
        Path missing = folder.resolve("missing");
        assertThat(Cli.run(FinetuneRuns.with(line, missing.resolve("results.jsonl")))
                        .err())
                .contains("the folder of --results does not exist: " + missing);
        assertThat(Cli.run(FinetuneRuns.with(line, folder)).err()).contains("--results is a directory: " + folder);
        assertThat(Cli.run(FinetuneRuns.with(line, prompts)).err())
                .contains("--results must not be the file that is read");
        assertThat(prompts).hasContent("not read");
    }

    @Test
    void badLinesAreNamed() throws Exception {
        Path prompts = folder.resolve("prompts.jsonl");
        Object[] line = {
            "generate", "--model", MODEL, "--prompts", prompts, "--results", folder.resolve("results.jsonl")
        };
        String[][] bad = {
            {"{}", "prompts.jsonl:2: has neither a text 'prompt' nor a list 'messages'"},
            {"[]", "prompts.jsonl:2: expected a JSON object"},
            {"{\"prompt\": 5}", "prompts.jsonl:2: has neither"},
            {"{", "prompts.jsonl:2: not valid JSON"},
            {
                "{\"messages\": [{\"role\": \"user\"}]}",
                "prompts.jsonl:2: has 'messages', but the model has no chat template"
            }
        };
        for (String[] each : bad) {
            Files.writeString(prompts, "{\"prompt\": \"a\"}\n" + each[0] + "\n");
            assertThat(Cli.run(line).err()).contains(each[1]);
        }
        assertThat(folder.resolve("results.jsonl")).doesNotExist();
        assertThat(Cli.run("generate", "--model", MODEL).err()).contains("give either --prompt or --prompts");
        assertThat(Cli.run("generate", "--model", MODEL, "--prompts", prompts).err())
                .contains("--prompts and --results go");
    }

    @Test
    void badSettingsAreUsage() {
        for (Object[] bad : new Object[][] {{"--min-p", 1.5}, {"--repetition-penalty", 0}, {"--stop", ""}}) {
            Cli run = Cli.run("generate", "--model", MODEL, "--prompt", "a", bad[0], bad[1]);
            assertThat(run.status()).isEqualTo(2);
            assertThat(run.err()).contains(bad[0].toString());
        }
    }

    @Test
    void aPromptWithoutItsAdapterIsRefused() {
        Cli run = Cli.run("generate", "--model", MODEL, "--adapter", ADAPTER, "--adapter", ADAPTER, "--prompt", "a");
        assertThat(run.status()).isEqualTo(2);
        assertThat(run.err()).contains("each --prompt needs its --adapter: got 1 and 2");
    }
}
