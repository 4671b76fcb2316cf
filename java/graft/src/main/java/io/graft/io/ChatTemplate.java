package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.hubspot.jinjava.interpret.InterpretException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/**
 * How a model wants a conversation written down: the Jinja template of {@code chat_template.jinja} or
 * {@code tokenizer_config.json}, rendered as transformers' {@code apply_chat_template} does. A template is a program that
 * came with a model, so it runs shut in: see {@link ChatEngine}.
 */
public final class ChatTemplate {
    private static final String FILE = "chat_template.jinja";
    private static final String CONFIG = "tokenizer_config.json";
    private static final int MAX_TEMPLATE = 1 << 20;

    private final String where;
    private final String source;
    private final Map<String, Object> tokens;
    private final Supplier<LocalDateTime> now;

    private ChatTemplate(String where, String source, Map<String, Object> tokens, Supplier<LocalDateTime> now) {
        this.where = where;
        this.source = source;
        this.tokens = tokens;
        this.now = now;
        if (source.length() > MAX_TEMPLATE) {
            throw new FormatException(
                    where, "a template of " + source.length() + " characters, more than " + MAX_TEMPLATE);
        }
    }

    /**
     * A template by itself.
     *
     * @param where starts every complaint
     * @param tokens what the template calls {@code bos_token} and so on
     * @param now what {@code strftime_now} tells
     */
    public static ChatTemplate of(
            String where, String source, Map<String, String> tokens, Supplier<LocalDateTime> now) {
        return new ChatTemplate(where, source, Map.copyOf(tokens), now);
    }

    /**
     * The template of a model's directory, as transformers finds it: the file, then {@code chat_template} of the
     * configuration, of several that called {@code default}.
     *
     * @throws FormatException if there is none
     */
    public static ChatTemplate read(Path directory) {
        ChatTemplate found = find(directory);
        if (found == null) {
            throw new FormatException(
                    directory, "has no chat template: neither " + FILE + " nor chat_template in " + CONFIG);
        }
        return found;
    }

    /** As {@link #read}, or null where there is none. */
    public static ChatTemplate find(Path directory) {
        Path config = directory.resolve(CONFIG);
        Path file = directory.resolve(FILE);
        JsonFields fields = Files.exists(config) ? new JsonFields(config.toString(), Json.readObject(config)) : null;
        Map<String, Object> tokens = new HashMap<>();
        if (fields != null) {
            for (String name : fields.names()) {
                String text = name.endsWith("_token") ? token(fields, name) : null;
                if (text != null) {
                    tokens.put(name, text);
                }
            }
        }
        if (Files.exists(file)) {
            try {
                return new ChatTemplate(file.toString(), Files.readString(file), tokens, LocalDateTime::now);
            } catch (IOException e) {
                throw new UncheckedIOException("cannot read " + file + ": " + e.getMessage(), e);
            }
        }
        String source = fields == null ? null : source(fields);
        return source == null ? null : new ChatTemplate(config + ", chat_template", source, tokens, LocalDateTime::now);
    }

    /** A token as text, or as the {@code content} of an object. */
    private static String token(JsonFields fields, String name) {
        JsonNode node = fields.node(name);
        return node == null
                ? null
                : node.isTextual() ? node.textValue() : node.path("content").textValue();
    }

    private static String source(JsonFields fields) {
        JsonNode node = fields.node("chat_template");
        if (node == null || node.isTextual()) {
            return node == null ? null : node.textValue();
        }
        for (JsonNode named : node) {
            if (named.path("name").asText().equals("default")) {
                return named.path("template").textValue();
            }
        }
        return null;
    }

    /**
     * The conversation as the model reads it, special tokens included: encode it without adding any.
     *
     * @param messages each with {@code role} and {@code content}, and whatever else the template asks for: texts, numbers,
     *     truth values, lists, maps
     * @param answer whether the text ends where the assistant's next turn begins
     * @throws FormatException if the template refuses the messages, is wrong, or goes beyond the limits
     */
    public String render(List<? extends Map<String, ?>> messages, boolean answer) {
        return render(messages, null, answer);
    }

    /** As {@link #render(List, boolean)}, with descriptions of tools; null for none. */
    public String render(List<? extends Map<String, ?>> messages, List<?> tools, boolean answer) {
        if (messages.isEmpty()) {
            throw new IllegalArgumentException("ChatTemplate.render: there are no messages");
        }
        Map<String, Object> values = new HashMap<>(tokens);
        values.put("messages", shut(messages));
        values.put("tools", shut(tools));
        values.put("documents", null);
        values.put("add_generation_prompt", answer);
        // why: templates ask whether the function is defined, which the engine says of variables only.
        values.put("strftime_now", true);
        values.put("raise_exception", true);
        return ChatEngine.render(where, source, values, now);
    }

    private static Object shut(Object value) {
        if (value instanceof Map<?, ?> map) {
            Map<String, Object> copy = new Fields();
            map.forEach((key, item) -> copy.put(String.valueOf(key), shut(item)));
            return copy;
        }
        if (value instanceof Collection<?> items) {
            List<Object> copy = new Items();
            items.forEach(item -> copy.add(shut(item)));
            return copy;
        }
        return value instanceof Integer number ? (Object) number.longValue() : value;
    }

    private static InterpretException noText(String type) {
        return new InterpretException("can only concatenate texts, not a " + type);
    }

    /** why: the engine would join Java's text of a list to a string where Jinja2 refuses to. */
    private static final class Items extends ArrayList<Object> {
        private static final long serialVersionUID = 1L;

        @Override
        public String toString() {
            throw noText("list");
        }
    }

    private static final class Fields extends LinkedHashMap<String, Object> {
        private static final long serialVersionUID = 1L;

        @Override
        public String toString() {
            throw noText("dict");
        }
    }
}
