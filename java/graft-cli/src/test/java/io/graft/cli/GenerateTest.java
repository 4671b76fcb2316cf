package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
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
        Path model = Files.createDirectory(folder.resolve("model"));
        try (var files = Files.list(MODEL)) {
            for (Path file : (Iterable<Path>) files::iterator) {
                Files.copy(file, model.resolve(file.getFileName()));
            }
        }
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
