package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.LocalDateTime;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Chat templates: the texts of transformers, and what a hostile template may not do. */
class ChatTemplateTest {
    private static final Path CHATS = Path.of("src/test/resources/fixtures/chat");
    private static final LocalDateTime NOW = LocalDateTime.of(2025, 3, 4, 15, 6, 7);
    private static final Map<String, String> TOKENS = Map.of("bos_token", "<s>", "eos_token", "</s>");
    private static final List<Map<String, String>> HELLO =
            List.of(new TreeMap<>(Map.of("role", "user", "content", "hello")));

    @TempDir
    Path folder;

    static Stream<JsonNode> goldens() throws Exception {
        JsonNode all = new ObjectMapper().readTree(CHATS.resolve("golden.json").toFile());
        return StreamSupport.stream(all.spliterator(), false);
    }

    private static String rendered(String source) {
        return ChatTemplate.of("t", source, TOKENS, () -> NOW).render(HELLO, true);
    }

    /** A list where a text should be is refused, also where Python would write it down as code. */
    @ParameterizedTest
    @MethodSource("goldens")
    void textsAreThoseOfTransformers(JsonNode golden) throws Exception {
        String name = golden.get("template").asText();
        ChatTemplate template = ChatTemplate.of(name, Files.readString(CHATS.resolve(name)), TOKENS, () -> NOW);
        List<Map<String, Object>> messages = list(golden.get("messages"));
        List<Map<String, Object>> tools = golden.has("tools") ? list(golden.get("tools")) : null;
        boolean answer = golden.get("add_generation_prompt").asBoolean();
        boolean code = golden.path("text").asText().contains("[{'type'");
        if (golden.has("text") && !code) {
            assertThat(template.render(messages, tools, answer))
                    .isEqualTo(golden.get("text").asText());
            return;
        }
        String error = golden.path("error").asText();
        assertThatThrownBy(() -> template.render(messages, tools, answer))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining(code || error.startsWith("can only") ? "can only concatenate" : error);
    }

    @SuppressWarnings("unchecked")
    private static List<Map<String, Object>> list(JsonNode node) {
        return new ObjectMapper().convertValue(node, List.class);
    }

    @ParameterizedTest
    @CsvSource(
            delimiterString = " => ",
            quoteCharacter = '`',
            value = {
                "{{ 1 if not messages|length == 2 else 2 }} => 1",
                "{{ not 1 == 2 and not messages[0].role in ['x', 'y'] }} => true",
                "{% set ns = namespace(n=messages|length - 1) %}{{ ns.n }} => 0",
                "{% for m in messages[::-1] %}{{ m.content[:4] ~ messages[-1]['content'][1] }}{% endfor %} => helle",
                "{{ 'a-b-c'.split('-')[1:] | join('+') }} => b+c",
                "{{ ' x '.strip() + 'xax'.rstrip('x') + 'ab'.replace('a', 'c').upper() }} => xxaCB",
                "{% macro m(a, b='q') %}{{ a }}{{ b }}{% endmacro %}{{ m('p') }}{{ m('p', b='r') }} => pqpr",
                "{% for k, v in messages[0].items() %}{{ k }}{% endfor %} => contentrole",
                "{{ messages[0].get('none', 'some') }} => some",
                "{{ 1.5e1 + 2 }} => 17.0",
                "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %} => 02",
                "{{ {'b': [1.0, 1e-7], 'a': 'é\"'} | tojson }} => {\"b\": [1.0, 1e-07], \"a\": \"é\\\"\"}",
                "{{ strftime_now('%-d %B %Y %H:%M %%') }} => 4 March 2025 15:06 %",
                "{# {{ nothing }} #}a {%- if true %} b {% endif %} c => a b  c",
                "{{ '{{ 1 }}' }} => {{ 1 }}"
            })
    void theLanguageIsJinjas(String source, String expected) {
        assertThat(rendered(source)).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource(
            delimiterString = " => ",
            quoteCharacter = '`',
            value = {
                "{% include '/etc/passwd' %} => the tag include is not supported",
                "{% import 'x' as y %} => the tag import is not supported",
                "{% for m in messages if m.role %}{% endfor %} => 'if' in the tag for is not supported",
                "{% raw %}{% endraw %} => the tag raw is not supported",
                "{{ messages | pprint }} => the filter pprint is not supported",
                "{{ messages is escaped }} => the test escaped is not supported",
                "{{ lipsum() }} => the function lipsum is not supported",
                "{{ ''.getClass() }} => the method getClass",
                "{{ messages.getClass().forName('java.lang.Runtime') }} => the method getClass of a list is not supported",
                "{{ messages[0].put('a', 1) }} => the method put",
                "{{ messages[0].content.chars() }} => the method chars",
                "{{ 'a' + messages }} => can only concatenate texts, not a list",
                "{{ loop.depth }}{% for m in messages %}{{ loop.doBreak }}{% endfor %} => loop.doBreak is not supported",
                "{{ messages[::-1][0] }} => '[' behind [::-1] is not supported",
                "{{ a ? b }} => '?' is not supported",
                "{{ 'a }} => a string does not end",
                "{{ a => a tag does not end",
                "{# a => a comment does not end",
                "{% for m in messages %} => endfor",
                "{{ 1 + }} => syntax error",
                "{ {#- -#} { 1 }} => a tag that a comment hides is not supported"
            })
    void whatIsNotKnownIsRefusedByName(String source, String problem) {
        assertThatThrownBy(() -> rendered(source))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining(problem);
    }

    /** No property of a Java object is within reach either. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "''.class",
                "messages.class",
                "messages[0].class",
                "messages.getClass",
                "messages[0]['empty']",
                "true.class",
                "strftime_now.class",
                "namespace.class",
                "____int3rpr3t3r____",
                "____int3rpr3t3r____.config",
                "int3rpr3t3r",
                "range.declaringClass",
                "messages.elementData",
                "bos_token.bytes",
                "documents.class"
            })
    void nothingOfJavaIsSeen(String expression) {
        try {
            assertThat(rendered("{{ " + expression + " }}")).doesNotContain("java", "hubspot", "class", "[B@");
        } catch (FormatException refused) {
            assertThat(refused).hasMessageNotContaining("@");
        }
    }

    /** Loops in loops, texts and lists that double, macros that call themselves, deep brackets: all end soon. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "{% for a in range(90000) %}{% for b in range(90000) %}{% for c in range(90000) %}{% set x = 1 %}{% endfor %}{% endfor %}{% endfor %}",
                "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for a in range(90) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
                "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for a in range(90) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
                "{% set ns = namespace(x=[1, 2]) %}{% for a in range(90) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
                "{% set ns = namespace(x='aaaaaaaaaaaa') %}{% for a in range(90) %}{% set ns.x = ns.x.replace('a', 'aa') %}{% endfor %}{{ ns.x }}",
                "{% for a in range(90000) %}{% for b in range(90000) %}aaaaaaaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}{% endfor %}",
                "{% macro m(x) %}{{ m(x) }}{{ m(x) }}{% endmacro %}{{ m(1) }}",
                "{{ range(0, 2000000000) | list }}",
                "{{ 9 ** 999999999 }}",
                "{% set ns = namespace(x=[]) %}{% set ns.x = [ns] %}{{ ns | tojson }}"
            })
    void everyTemplateEnds(String source) {
        assertTimeoutPreemptively(Duration.ofSeconds(60), () -> {
            try {
                assertThat(rendered(source).length()).isLessThanOrEqualTo(ChatEngine.MAX_LENGTH);
            } catch (FormatException refused) {
                assertThat(refused.getMessage()).startsWith("t: ");
            }
        });
    }

    @Test
    void deepBracketsAreRefused() {
        String source = "{{ " + "(".repeat(50_000) + "1" + ")".repeat(50_000) + " }}";
        assertThatThrownBy(() -> rendered(source)).isInstanceOf(FormatException.class);
        assertThatThrownBy(() -> rendered("a".repeat(2 << 20)))
                .hasMessageContaining("a template of 2097152 characters");
    }

    @Test
    void aModelsTemplateIsFound() throws Exception {
        assertThatThrownBy(() -> ChatTemplate.read(folder)).hasMessageContaining("has no chat template");
        Path config = folder.resolve("tokenizer_config.json");
        Files.writeString(config, "{\"bos_token\": \"<b>\", \"chat_template\": [{\"name\": \"rag\"}, 1]}");
        assertThatThrownBy(() -> ChatTemplate.read(folder)).hasMessageContaining("has no chat template");
        Files.writeString(config, """
                {"unk_token": null, "add_bos_token": true, "bos_token": {"content": "<b>"}, "eos_token": "<e>", "chat_template": [
                  {"name": "rag", "template": "no"},
                  {"name": "default", "template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"}]}""");
        assertThat(ChatTemplate.read(folder).render(HELLO, false)).isEqualTo("<b>hello<e>");
        Files.writeString(config, "{\"chat_template\": \"{{ messages[0]['role'] }}\"}");
        assertThat(ChatTemplate.read(folder).render(HELLO, false)).isEqualTo("user");
        Files.writeString(folder.resolve("chat_template.jinja"), "{{ messages | length }}\n");
        assertThat(ChatTemplate.read(folder).render(HELLO, false)).isEqualTo("1");
        assertThatThrownBy(() -> ChatTemplate.read(folder).render(List.of(), false))
                .hasMessageContaining("there are no messages");
    }
}
