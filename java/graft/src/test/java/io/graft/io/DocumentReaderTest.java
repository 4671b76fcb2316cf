package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Rows of data as tokens: what is learnt, and what is wrong with a row. */
class DocumentReaderTest {
    private static final String TURNS = "{% for m in messages %}{{ '<' + m.role + '>' + m.content + '|' }}{% endfor %}"
            + "{{ '<assistant>' if add_generation_prompt }}";

    private final Tokenizer tokenizer = Tokenizer.load(Fixtures.path("models/llama_tied"));

    @TempDir
    Path folder;

    @AfterEach
    void close() {
        tokenizer.close();
    }

    private static ChatTemplate chat(String source) {
        return ChatTemplate.of("chat", source, Map.of(), LocalDateTime::now);
    }

    private List<Document> read(String template, String... lines) throws Exception {
        Path file = Files.writeString(
                folder.resolve("data.jsonl"), String.join("\n", lines).replace('\'', '"'));
        List<Document> documents = new ArrayList<>();
        new DocumentReader(tokenizer, template == null ? null : chat(template)).read(file, documents::add);
        return documents;
    }

    /** The texts of the runs of tokens that count. */
    private List<String> learnt(Document document) {
        List<String> texts = new ArrayList<>();
        int from = -1;
        for (int i = 0; i <= document.labels().length; i++) {
            boolean counts = i < document.labels().length && document.labels()[i] != TextDataset.IGNORED;
            if (counts && from < 0) {
                from = i;
            } else if (!counts && from >= 0) {
                texts.add(tokenizer.decode(Arrays.copyOfRange(document.ids(), from, i), false));
                from = -1;
            }
        }
        return texts;
    }

    @Test
    void theAssistantsTurnsAreLearnt() throws Exception {
        Document document = read(
                        TURNS,
                        "{'messages': [{'role': 'user', 'content': 'int é😀 a;'}, {'role': 'assistant', 'content': 'assert 日本 x'},"
                                + " {'role': 'user', 'content': 'more'}, {'role': 'assistant', 'content': ''},"
                                + " {'role': 'user', 'content': 'end'}]}")
                .get(0);
        String whole = "<user>int é😀 a;|<assistant>assert 日本 x|<user>more|<assistant>|<user>end|";
        assertThat(document.ids()).isEqualTo(tokenizer.encode(whole, false));
        assertThat(learnt(document)).containsExactly("assert 日本 x|", "|");
        assertThat(document.targets()).isEqualTo(tokenizer.encode("assert 日本 x|", false).length + 1);
    }

    /** Tokens begin where their characters do, also where several make one character. */
    @Test
    void placesAreThoseOfTheText() {
        for (String text : List.of("", "plain int x;", "é", "😀😀 a😀", "日本語 int", "\ttab\n  b", "a\u0301x")) {
            Tokenizer.Encoded encoded = tokenizer.encodeWithPlaces(text);
            assertThat(encoded.ids()).isEqualTo(tokenizer.encode(text, false));
            int consumed = 0;
            for (int i = 0; i < encoded.ids().length; i++) {
                String before = text.substring(0, encoded.places()[i]);
                int start = before.getBytes(StandardCharsets.UTF_8).length;
                assertThat(start).as(text + " token " + i).isLessThanOrEqualTo(consumed);
                assertThat(consumed - start).as(text + " token " + i).isLessThan(4);
                int end = i + 1 < encoded.ids().length ? encoded.places()[i + 1] : text.length();
                assertThat(end).isGreaterThanOrEqualTo(encoded.places()[i]);
                String piece = tokenizer.decode(new int[] {encoded.ids()[i]}, false);
                consumed += piece.contains("\uFFFD") ? 1 : piece.getBytes(StandardCharsets.UTF_8).length;
            }
        }
    }

    @Test
    void otherRowsKeepTheirForms() throws Exception {
        List<Document> documents = read(null, "{'text': 'a b'}", "", "{'prompt': 'p q', 'completion': ' r', 'id': 7}");
        assertThat(documents).hasSize(2);
        assertThat(documents.get(0).labels()).isEqualTo(documents.get(0).ids());
        assertThat(learnt(documents.get(1))).hasSize(2).last().asString().startsWith(" r");
        assertThat(documents.get(1).cut(3).ids()).hasSize(3);
        assertThat(documents.get(1).cut(3).targets()).isZero();
        assertThat(documents.get(1).cut(300)).isSameAs(documents.get(1));
    }

    @ParameterizedTest
    @CsvSource(
            delimiterString = " => ",
            quoteCharacter = '`',
            value = {
                "{'messages': 'a'} => data.jsonl:2: field 'messages' must be a list of messages",
                "{'messages': []} => data.jsonl:2: field 'messages' must be a list of messages",
                "{'messages': ['a']} => data.jsonl:2: field 'messages' at [0]: expected an object, found string",
                "{'messages': [{'role': 'user', 'content': 'a'}, {'content': 'b'}]} => field 'messages' at [1]: field 'role' is missing",
                "{'messages': [{'role': 'user'}]} => field 'messages' at [0]: field 'content' is missing",
                "{'messages': [{'role': 'bad', 'content': 'a'}]} => data.jsonl:2: chat: the template refuses these messages: no bad",
                "{'messages': [{'role': 'user', 'content': ['a']}]} => data.jsonl:2: chat: line",
                "{'messages': [{'role': 'user', 'content': 'a'}], 'tools': 1} => data.jsonl:2: field 'tools' must be a list",
                "{'prompt': 'a'} => data.jsonl:2: field 'completion' is missing",
                "{'message': 'a'} => data.jsonl:2: has neither 'text' nor 'prompt' and 'completion' nor 'messages'"
            })
    void wrongRowsAreNamed(String line, String problem) {
        String strict = "{% if messages[0].role == 'bad' %}{{ raise_exception('no bad') }}{% endif %}" + TURNS;
        assertThatThrownBy(() -> read(strict, "{'text': 'fine'}", line))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining(problem);
    }

    @Test
    void answersThatCannotBeToldApartAreRefused() {
        String[] lines = {"{'messages': [{'role': 'user', 'content': 'a'}, {'role': 'assistant', 'content': 'b'}]}"};
        assertThatThrownBy(() -> read(null, lines))
                .hasMessageContaining("data.jsonl:1: has 'messages', but the model has no");
        assertThatThrownBy(() -> read("{{ messages | length }}" + TURNS, lines))
                .hasMessageContaining("at [1]: the chat template writes what comes before an answer otherwise");
    }

    /** Bytes that are no text are an error of the file; those before them have been read. */
    @Test
    void aBrokenFileIsNamed() throws Exception {
        Path file = folder.resolve("b.jsonl");
        Files.write(file, new byte[] {'{', '"', (byte) 0xe9, '"'});
        assertThatThrownBy(() -> new DocumentReader(tokenizer, null).read(file, document -> {}))
                .hasMessageContaining("b.jsonl: is not UTF-8");
    }
}
