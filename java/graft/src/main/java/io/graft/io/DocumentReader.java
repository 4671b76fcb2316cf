package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.function.Consumer;

/**
 * Reads training text a document at a time: files and directories of {@code .java}, {@code .txt}, {@code .jsonl} (or {@code
 * .ndjson}) and {@code .parquet}. A text file is a document; a row of the others has {@code text}, a {@code prompt} and a {@code
 * completion}, of which the latter is learnt, or, in {@code .jsonl}, {@code messages}, of which the assistant's are learnt.
 *
 * <p>Texts and completions get begin-of-text and end-of-text, as far as the tokenizer has these; messages get what the chat
 * template says.
 */
public final class DocumentReader {
    private final Tokenizer tokenizer;
    private final ChatTemplate chat;

    /** @param chat null: messages are refused */
    public DocumentReader(Tokenizer tokenizer, ChatTemplate chat) {
        this.tokenizer = tokenizer;
        this.chat = chat;
    }

    /**
     * The files that are read of {@code source}, in this order.
     *
     * @throws FormatException if there is none, or the file is a table ({@code .json}, {@code .csv}, {@code .tsv})
     */
    public static List<Path> files(Path source) {
        return TextFiles.files(source);
    }

    /** The tables ({@code .json}, {@code .csv}, {@code .tsv}) in a directory, which are passed over. */
    public static List<Path> skipped(Path source) {
        return TextFiles.skipped(source);
    }

    /**
     * Reads a file, or all files of a directory that hold text, in the order of their paths.
     *
     * @throws FormatException if something cannot be read, naming file, line or row, and field
     */
    public void read(Path source, Consumer<Document> documents) {
        TextFiles.read(source, new TextFiles.Documents() {
            @Override
            public void text(String text) {
                documents.accept(document("", text));
            }

            @Override
            public void row(String where, JsonFields fields) {
                documents.accept(document(where, fields));
            }
        });
    }

    /** A prompt, which is read but not learnt, and what follows it. */
    Document document(String prompt, String completion) {
        int[] before = prompt.isEmpty() ? new int[0] : tokenizer.encode(prompt, false);
        int[] after = tokenizer.encode(completion, false);
        OptionalInt bos = tokenizer.bos();
        OptionalInt eos = tokenizer.eos();
        int first = bos.isPresent() ? 1 : 0;
        int[] ids = new int[first + before.length + after.length + (eos.isPresent() ? 1 : 0)];
        bos.ifPresent(id -> ids[0] = id);
        System.arraycopy(before, 0, ids, first, before.length);
        System.arraycopy(after, 0, ids, first + before.length, after.length);
        eos.ifPresent(id -> ids[ids.length - 1] = id);
        int[] labels = ids.clone();
        Arrays.fill(labels, first, first + before.length, TextDataset.IGNORED);
        return new Document(ids, labels);
    }

    private Document document(String where, JsonFields fields) {
        if (fields.has("text")) {
            return document("", fields.text("text"));
        }
        if (fields.has("prompt")) {
            return document(fields.text("prompt"), fields.text("completion"));
        }
        if (fields.has("messages")) {
            return conversation(where, fields);
        }
        if (fields.names().contains("text")) {
            throw fields.refuse("text", "is null");
        }
        throw new FormatException(where, "has neither 'text' nor 'prompt' and 'completion' nor 'messages'");
    }

    /** why by places: a turn's tokens need not be those that it has by itself. */
    private Document conversation(String where, JsonFields fields) {
        if (chat == null) {
            throw new FormatException(where, "has 'messages', but the model has no chat template");
        }
        List<Map<String, Object>> messages = messages(fields);
        List<?> tools = fields.has("tools") ? list(fields, "tools") : null;
        List<int[]> answers = new ArrayList<>();
        String whole;
        try {
            whole = chat.render(messages, tools, false);
            for (int i = 1; i < messages.size(); i++) {
                if ("assistant".equals(messages.get(i).get("role"))) {
                    String before = chat.render(messages.subList(0, i), tools, true);
                    String after = chat.render(messages.subList(0, i + 1), tools, false);
                    if (!after.startsWith(before) || !whole.startsWith(before)) {
                        throw fields.refuse(
                                "messages",
                                "at [" + i + "]: the chat template writes what comes before an"
                                        + " answer otherwise once there is one, so that answers cannot be told apart");
                    }
                    int end = whole.startsWith(after) ? after.length() : common(whole, after);
                    answers.add(new int[] {before.length(), end});
                }
            }
        } catch (FormatException e) {
            throw e.getMessage().startsWith(where) ? e : new FormatException(where, e.getMessage(), e);
        }
        Tokenizer.Encoded encoded = tokenizer.encodeWithPlaces(whole);
        int[] labels = new int[encoded.ids().length];
        for (int i = 0; i < labels.length; i++) {
            int place = encoded.places()[i];
            boolean learnt = answers.stream().anyMatch(answer -> place >= answer[0] && place < answer[1]);
            labels[i] = learnt ? encoded.ids()[i] : TextDataset.IGNORED;
        }
        return new Document(encoded.ids(), labels);
    }

    private static int common(String a, String b) {
        int length = 0;
        while (length < a.length() && length < b.length() && a.charAt(length) == b.charAt(length)) {
            length++;
        }
        return length;
    }

    private static List<Map<String, Object>> messages(JsonFields fields) {
        List<Map<String, Object>> messages = new ArrayList<>();
        JsonNode items = fields.node("messages");
        if (!items.isArray() || items.isEmpty()) {
            throw fields.refuse("messages", "must be a list of messages");
        }
        for (JsonNode item : items) {
            String at = "at [" + messages.size() + "]: ";
            if (!item.isObject()) {
                throw fields.refuse("messages", at + "expected an object, found " + Json.kind(item));
            }
            if (!item.path("role").isTextual()) {
                throw fields.refuse("messages", at + "field 'role' is missing, or no text");
            }
            if (!item.has("content") && !item.has("tool_calls")) {
                throw fields.refuse("messages", at + "field 'content' is missing");
            }
            messages.add(Json.toMap(item));
        }
        return messages;
    }

    private static List<?> list(JsonFields fields, String field) {
        if (!fields.node(field).isArray()) {
            throw fields.refuse(field, "must be a list");
        }
        return (List<?>)
                Json.toMap(Json.newObject().set("list", fields.node(field))).get("list");
    }
}
