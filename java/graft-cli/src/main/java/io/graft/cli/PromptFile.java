package io.graft.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.io.ChatTemplate;
import io.graft.io.FormatException;
import io.graft.io.Tokenizer;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Prompts of a {@code .jsonl} file, a line each: {@code prompt}, or {@code messages} where there is a chat template. */
final class PromptFile {
    private static final ObjectMapper JSON = new ObjectMapper();

    /**
     * A line.
     *
     * @param where file and line
     * @param fields as they are in the file
     * @param ids the prompt's tokens
     * @param adapter the adapter that it names, or null
     */
    record Prompt(String where, ObjectNode fields, int[] ids, String adapter) {}

    private PromptFile() {}

    static List<Prompt> read(Path file, Tokenizer tokenizer, ChatTemplate chat) throws IOException {
        List<Prompt> prompts = new ArrayList<>();
        try (BufferedReader lines = Files.newBufferedReader(file)) {
            int number = 0;
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                number++;
                if (!line.isBlank()) {
                    prompts.add(prompt(file + ":" + number, line, tokenizer, chat));
                }
            }
        }
        return prompts;
    }

    private static Prompt prompt(String where, String line, Tokenizer tokenizer, ChatTemplate chat) {
        JsonNode node;
        try {
            node = JSON.readTree(line);
        } catch (JsonProcessingException e) {
            throw new FormatException(where, "not valid JSON: " + e.getOriginalMessage(), e);
        }
        if (!(node instanceof ObjectNode fields)) {
            throw new FormatException(where, "expected a JSON object");
        }
        int[] ids;
        if (fields.path("prompt").isTextual()) {
            ids = tokenizer.encode(fields.get("prompt").textValue(), true);
        } else if (fields.path("messages").isArray() && !fields.get("messages").isEmpty()) {
            if (chat == null) {
                throw new FormatException(where, "has 'messages', but the model has no chat template");
            }
            ids = tokenizer.encode(render(where, fields.get("messages"), chat), false);
        } else {
            throw new FormatException(where, "has neither a text 'prompt' nor a list 'messages'");
        }
        if (ids.length == 0) {
            throw new FormatException(where, "has a prompt of no tokens");
        }
        return new Prompt(where, fields, ids, fields.path("adapter").textValue());
    }

    private static String render(String where, JsonNode messages, ChatTemplate chat) {
        try {
            return chat.render(JSON.convertValue(messages, new TypeReference<List<Map<String, Object>>>() {}), true);
        } catch (IllegalArgumentException e) {
            throw new FormatException(where, "field 'messages': " + e.getMessage(), e);
        }
    }
}
