package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TextDatasetTest {
    private static final int BOS = 325;
    private static final int EOS = 326;

    private final Tokenizer tokenizer = Tokenizer.load(Fixtures.path("models/llama_tied"));

    @TempDir
    Path directory;

    @AfterEach
    void close() {
        tokenizer.close();
    }

    @Test
    void documentsFollowEachOtherInTheOrderOfTheirPaths() throws IOException {
        Files.writeString(directory.resolve("b.txt"), "int b;");
        Files.writeString(Files.createDirectory(directory.resolve("sub")).resolve("A.java"), "class A {}");
        Files.writeString(directory.resolve("a.jsonl"), "{\"text\":\"one\"}\n\n{\"text\":\"two\"}\n");
        Files.writeString(directory.resolve("image.png"), "not text");
        List<Integer> stream = new ArrayList<>();
        for (String text : List.of("one", "two", "int b;", "class A {}")) {
            stream.add(BOS);
            Arrays.stream(tokenizer.encode(text, false)).forEach(stream::add);
            stream.add(EOS);
        }
        TextDataset dataset = TextDataset.read(tokenizer, 1, directory);
        assertThat(dataset.blocks()).isEqualTo(stream.size());
        int[] ids = new int[dataset.blocks()];
        int[] labels = new int[dataset.blocks()];
        for (int block = 0; block < ids.length; block++) {
            dataset.fill(block, ids, labels, block);
        }
        assertThat(ids).containsExactly(ints(stream));
        assertThat(labels).containsExactly(ints(stream));
    }

    @Test
    void blocksAreCutWithoutLoss() {
        TextDataset dataset = TextDataset.builder(tokenizer, 4)
                .addText("a b c d e f g h i j k")
                .build();
        int[] ids = new int[8];
        dataset.fill(0, ids, new int[8], 0);
        dataset.fill(1, ids, new int[8], 4);
        assertThat("a b c d e f g h i j k")
                .startsWith(tokenizer.decode(ids, true).strip());
        assertThat(dataset.leftOut()).isEqualTo((tokenizer.encode("a b c d e f g h i j k", false).length + 2) % 4);
        TextDataset rest = dataset.slice(1, dataset.blocks());
        assertThat(rest.blocks()).isEqualTo(dataset.blocks() - 1);
        int[] again = new int[4];
        rest.fill(0, again, new int[4], 0);
        assertThat(again).isEqualTo(Arrays.copyOfRange(ids, 4, 8));
        assertThatThrownBy(() -> rest.fill(rest.blocks(), again, again, 0))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> dataset.slice(1, 1)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void promptsAreReadButNotLearnt() {
        int[] prompt = tokenizer.encode("int f()", false);
        int[] completion = tokenizer.encode(" { return 1; }", false);
        int length = prompt.length + completion.length + 2;
        TextDataset dataset = TextDataset.builder(tokenizer, length)
                .addExample("int f()", " { return 1; }")
                .build();
        int[] ids = new int[length];
        int[] labels = new int[length];
        dataset.fill(0, ids, labels, 0);
        assertThat(ids[0]).isEqualTo(BOS);
        assertThat(Arrays.copyOfRange(labels, 1, prompt.length + 1)).containsOnly(TextDataset.IGNORED);
        assertThat(Arrays.copyOfRange(ids, 1, prompt.length + 1)).isEqualTo(prompt);
        assertThat(Arrays.copyOfRange(labels, prompt.length + 1, length - 1)).isEqualTo(completion);
        assertThat(labels[length - 1]).isEqualTo(EOS);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'text':'a'}⏎{'text':5} | data.jsonl:2: field 'text' is 5, expected a text",
                "{'text':'a'}⏎⏎{'prompt':'a'} | data.jsonl:3: field 'completion' is missing",
                "{'text':null} | data.jsonl:1: field 'text' is null",
                "{'txt':'a'} | data.jsonl:1: has neither 'text' nor",
                "nonsense | data.jsonl:1: not valid JSON",
                "[] | data.jsonl:1: expected a JSON object",
                "{'text':'a','text':'b'} | data.jsonl:1: not valid JSON",
            })
    void wrongLinesAreNamed(String lines, String message) throws IOException {
        Path file = directory.resolve("data.jsonl");
        Files.writeString(file, lines.replace('\'', '"').replace('⏎', '\n'));
        assertThatThrownBy(() -> TextDataset.read(tokenizer, 4, file))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining(message);
    }

    @Test
    void whatIsNotTextIsRefused() throws IOException {
        assertThatThrownBy(() -> TextDataset.read(tokenizer, 4, directory))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("holds no file that ends with one of [.java, .txt, .jsonl, .ndjson, .parquet]");
        assertThatThrownBy(() -> TextDataset.read(tokenizer, 4, directory.resolve("none")))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("no such file");
        Path latin = Files.write(directory.resolve("latin.txt"), new byte[] {'a', (byte) 0xe9});
        assertThatThrownBy(() -> TextDataset.read(tokenizer, 4, latin))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("latin.txt: is not UTF-8");
        Files.writeString(latin, "a");
        assertThatThrownBy(() -> TextDataset.read(tokenizer, 100, latin))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("holds 3 tokens, a block needs 100");
    }

    private static int[] ints(List<Integer> values) {
        return values.stream().mapToInt(Integer::intValue).toArray();
    }
}
