package io.graft.io;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.CharSpan;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;

/**
 * Turns text into token ids and back, as {@code tokenizer.json} of the Hugging Face format says. Nothing is ever
 * fetched from a network; nothing is truncated or padded.
 *
 * <p>May be shared by threads until closed.
 */
public final class Tokenizer implements AutoCloseable {
    private static final String FILE = "tokenizer.json";
    private static final String CONFIG = "tokenizer_config.json";
    private static final int LARGEST_ID = (1 << 28) - 1;

    private final Path file;
    private final HuggingFaceTokenizer tokenizer;
    private final Map<String, Integer> ids;
    private final int size;
    private final OptionalInt bos;
    private final OptionalInt eos;
    private final OptionalInt pad;
    private boolean closed;

    private Tokenizer(Path file, HuggingFaceTokenizer tokenizer, Map<String, Integer> ids, JsonNode config) {
        this.file = file;
        this.tokenizer = tokenizer;
        this.ids = ids;
        this.size = ids.values().stream().mapToInt(id -> id + 1).max().orElse(0);
        this.bos = special(config, "bos_token");
        this.eos = special(config, "eos_token");
        this.pad = special(config, "pad_token");
    }

    /**
     * Loads a {@code tokenizer.json}, or that of a directory; {@code tokenizer_config.json} beside it names the special
     * tokens.
     *
     * @throws FormatException if the file is absent or is not a tokenizer
     */
    public static Tokenizer load(Path path) {
        Path file = Files.isDirectory(path) ? path.resolve(FILE) : path;
        ObjectNode json = Json.readObject(file);
        Path beside = file.resolveSibling(CONFIG);
        ObjectNode config = Files.exists(beside) ? Json.readObject(beside) : Json.newObject();
        Map<String, Integer> ids = vocabulary(file, json);
        // why: DJL would otherwise fetch what it lacks from the network, and on some clouds report its use.
        System.setProperty("ai.djl.offline", "true");
        System.setProperty("OPT_OUT_TRACKING", "true");
        try {
            Map<String, String> options = Map.of("truncation", "false", "padding", "false");
            return new Tokenizer(file, HuggingFaceTokenizer.newInstance(file, options), ids, config);
        } catch (IOException | RuntimeException e) {
            throw new FormatException(file, "not a tokenizer: " + e.getMessage(), e);
        }
    }

    /** Token ids of {@code text}; {@code special}: with the special tokens that the tokenizer adds (begin-of-text). */
    public synchronized int[] encode(String text, boolean special) {
        checkOpen();
        long[] encoded = tokenizer.encode(text, special, false).getIds();
        int[] narrow = new int[encoded.length];
        for (int i = 0; i < narrow.length; i++) {
            narrow[i] = Math.toIntExact(encoded[i]);
        }
        return narrow;
    }

    /**
     * Token ids of a text without added special tokens, and where they come from.
     *
     * @param places the place in the text, in chars, of the first character that each token stands for
     */
    record Encoded(int[] ids, int[] places) {}

    synchronized Encoded encodeWithPlaces(String text) {
        checkOpen();
        Encoding encoding = tokenizer.encode(text, false, false);
        CharSpan[] spans = encoding.getCharTokenSpans();
        int[] ids = new int[spans.length];
        int[] places = new int[spans.length];
        int codePoint = 0;
        int place = 0;
        for (int i = 0; i < ids.length; i++) {
            ids[i] = Math.toIntExact(encoding.getIds()[i]);
            // why: spans count code points; they rise, but for tokens that share one.
            int start = spans[i] == null ? codePoint : spans[i].getStart();
            place = text.offsetByCodePoints(place, start - codePoint);
            codePoint = start;
            places[i] = place;
        }
        return new Encoded(ids, places);
    }

    /** The text of token ids; {@code skipSpecial}: without special tokens. */
    public synchronized String decode(int[] tokens, boolean skipSpecial) {
        checkOpen();
        long[] wide = new long[tokens.length];
        for (int i = 0; i < wide.length; i++) {
            if (tokens[i] < 0) {
                throw new IllegalArgumentException("token " + i + " is " + tokens[i]);
            }
            wide[i] = tokens[i];
        }
        return tokenizer.decode(wide, skipSpecial);
    }

    /** Number of token ids, special ones included: the least vocabulary of a model that uses them. */
    public int size() {
        return size;
    }

    /** The id of a token, spelled as in the file. */
    public OptionalInt id(String token) {
        Integer id = ids.get(token);
        return id == null ? OptionalInt.empty() : OptionalInt.of(id);
    }

    /** The begin-of-text token, if the configuration names one. */
    public OptionalInt bos() {
        return bos;
    }

    /** The end-of-text token, if the configuration names one. */
    public OptionalInt eos() {
        return eos;
    }

    /** The padding token, if the configuration names one. */
    public OptionalInt pad() {
        return pad;
    }

    /** Frees the tokenizer; idempotent. */
    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            tokenizer.close();
        }
    }

    @Override
    public String toString() {
        return "Tokenizer[" + file + ", " + size + " tokens]";
    }

    private void checkOpen() {
        if (closed) {
            throw new IllegalStateException(this + " is closed");
        }
    }

    private OptionalInt special(JsonNode config, String field) {
        JsonNode node = config.path(field);
        // why: older files describe a special token by an object with its text in "content".
        String token = node.isObject() ? node.path("content").asText(null) : node.textValue();
        return token == null ? OptionalInt.empty() : id(token);
    }

    private static Map<String, Integer> vocabulary(Path file, ObjectNode json) {
        Map<String, Integer> ids = new HashMap<>();
        JsonNode vocabulary = json.path("model").path("vocab");
        vocabulary.properties().forEach(entry -> ids.put(entry.getKey(), id(file, entry.getKey(), entry.getValue())));
        for (int i = 0; vocabulary.isArray() && i < vocabulary.size(); i++) {
            // why: unigram models list [token, score] pairs; the id is the place in the list.
            ids.put(vocabulary.get(i).path(0).asText(), i);
        }
        for (JsonNode added : json.path("added_tokens")) {
            String content = added.path("content").asText();
            ids.put(content, id(file, content, added.path("id")));
        }
        if (ids.isEmpty()) {
            throw new FormatException(file, "not a tokenizer: model.vocab is missing or empty");
        }
        return ids;
    }

    /** why a limit: an id is a row of a model's table, and the largest one says how many there are. */
    private static int id(Path file, String token, JsonNode id) {
        if (!id.isInt() || id.intValue() < 0 || id.intValue() > LARGEST_ID) {
            throw new FormatException(
                    file, "the id of token '" + token + "' is " + id + ", expected 0 to " + LARGEST_ID);
        }
        return id.intValue();
    }
}
