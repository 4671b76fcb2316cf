package io.graft.io;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * Strict reading of JSON that others wrote: duplicate keys, trailing text, deep nesting and huge files are refused, and
 * every complaint names file, line and column.
 */
final class Json {
    private static final long MAX_FILE_BYTES = 256L << 20;
    private static final int MAX_DEPTH = 100;

    private static final ObjectMapper MAPPER = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(MAX_DEPTH)
                            .build())
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private Json() {}

    static ObjectNode readObject(Path file) {
        try {
            if (Files.size(file) > MAX_FILE_BYTES) {
                throw new FormatException(file, Files.size(file) + " bytes of JSON, more than " + MAX_FILE_BYTES);
            }
            return readObject(file.toString(), Files.readString(file));
        } catch (NoSuchFileException e) {
            throw new FormatException(file, "no such file", e);
        } catch (IOException e) {
            throw new FormatException(file, "cannot be read: " + e, e);
        }
    }

    /** Parses {@code text}, which must be one object; {@code where} starts every complaint. */
    static ObjectNode readObject(String where, String text) {
        JsonNode node;
        try {
            node = MAPPER.readTree(text);
        } catch (JsonProcessingException e) {
            JsonLocation at = e.getLocation();
            String place = at == null ? "" : " at line " + at.getLineNr() + ", column " + at.getColumnNr();
            throw new FormatException(where, "not valid JSON" + place + ": " + e.getOriginalMessage(), e);
        }
        if (!(node instanceof ObjectNode object)) {
            throw new FormatException(where, "expected a JSON object, found " + kind(node));
        }
        return object;
    }

    static ObjectNode newObject() {
        return MAPPER.createObjectNode();
    }

    static ArrayNode newArray() {
        return MAPPER.createArrayNode();
    }

    static JsonNode toNode(Object value) {
        return MAPPER.valueToTree(value);
    }

    static Map<String, Object> toMap(JsonNode object) {
        return MAPPER.convertValue(object, new TypeReference<LinkedHashMap<String, Object>>() {});
    }

    static String kind(JsonNode node) {
        return node.isMissingNode() ? "nothing" : node.getNodeType().name().toLowerCase(Locale.ROOT);
    }
}
