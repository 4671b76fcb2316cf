package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/**
 * Typed access to the fields of one JSON object; a field that is absent, of the wrong kind or out of range is refused
 * with file, field and value. A JSON null counts as absent, as in the Python libraries that write these files.
 */
final class JsonFields {
    private final String file;
    private final String prefix;
    private final ObjectNode object;

    JsonFields(String file, ObjectNode object) {
        this(file, "", object);
    }

    private JsonFields(String file, String prefix, ObjectNode object) {
        this.file = file;
        this.prefix = prefix;
        this.object = object;
    }

    /** The fields of a file that holds one object. */
    static JsonFields read(Path file) {
        return new JsonFields(file.toString(), Json.readObject(file));
    }

    /** The fields of an object in memory; {@code where} starts every complaint. */
    static JsonFields parse(String where, String json) {
        return new JsonFields(where, Json.readObject(where, json));
    }

    /** The fields of another object that complaints say to be in the same file. */
    JsonFields with(ObjectNode other) {
        return new JsonFields(file, other);
    }

    ObjectNode object() {
        return object;
    }

    FormatException refuse(String field, String problem) {
        return new FormatException(file, "field '" + prefix + field + "' " + problem);
    }

    boolean has(String field) {
        return object.hasNonNull(field);
    }

    /** The field's node, or null where it is absent. */
    JsonNode node(String field) {
        return has(field) ? object.get(field) : null;
    }

    /** The object in {@code field}, or null where it is absent. */
    JsonFields child(String field) {
        JsonNode node = node(field);
        if (node == null) {
            return null;
        }
        if (!(node instanceof ObjectNode child)) {
            throw wrongKind(field, "an object", node);
        }
        return inside(field, child);
    }

    /** The fields of an object that complaints say to be in {@code field}. */
    JsonFields inside(String field, ObjectNode child) {
        return new JsonFields(file, prefix + field + ".", child);
    }

    List<String> names() {
        List<String> names = new ArrayList<>();
        object.fieldNames().forEachRemaining(names::add);
        return names;
    }

    int positive(String field) {
        return require(field, count(field));
    }

    int positive(String field, int absent) {
        return count(field).orElse(absent);
    }

    private OptionalInt count(String field) {
        OptionalInt value = integer(field);
        if (value.isPresent() && value.getAsInt() <= 0) {
            throw refuse(field, "is " + value.getAsInt() + ", expected at least 1");
        }
        return value;
    }

    private int require(String field, OptionalInt value) {
        return value.orElseThrow(() -> refuse(field, "is missing"));
    }

    OptionalInt integer(String field) {
        JsonNode node = node(field);
        return node == null ? OptionalInt.empty() : OptionalInt.of(asInt(field, node));
    }

    /** A whole number of 64 bits. */
    long whole(String field, long absent) {
        JsonNode node = node(field);
        if (node == null) {
            return absent;
        }
        if (!node.isIntegralNumber() || !node.canConvertToLong()) {
            throw refuse(field, "is " + node + ", expected a whole number of 64 bits");
        }
        return node.longValue();
    }

    double number(String field, double absent) {
        JsonNode node = node(field);
        return node == null ? absent : asDouble(field, node);
    }

    double number(String field) {
        if (!has(field)) {
            throw refuse(field, "is missing");
        }
        return number(field, 0);
    }

    boolean flag(String field, boolean absent) {
        JsonNode node = node(field);
        if (node == null) {
            return absent;
        }
        if (!node.isBoolean()) {
            throw wrongKind(field, "true or false", node);
        }
        return node.booleanValue();
    }

    String text(String field, String absent) {
        JsonNode node = node(field);
        return node == null ? absent : asText(field, node);
    }

    String text(String field) {
        if (!has(field)) {
            throw refuse(field, "is missing");
        }
        return text(field, null);
    }

    /** A list of integers, a single one as a list of it, or empty where the field is absent. */
    List<Integer> integers(String field) {
        List<Integer> values = new ArrayList<>();
        for (JsonNode item : items(field)) {
            values.add(asInt(field, item));
        }
        return List.copyOf(values);
    }

    /** A list of texts, a single one as a list of it, or empty where the field is absent. */
    List<String> texts(String field) {
        List<String> values = new ArrayList<>();
        for (JsonNode item : items(field)) {
            values.add(asText(field, item));
        }
        return List.copyOf(values);
    }

    private Iterable<JsonNode> items(String field) {
        JsonNode node = node(field);
        if (node == null) {
            return List.of();
        }
        return node.isArray() ? node : List.of(node);
    }

    private int asInt(String field, JsonNode node) {
        if (!node.isIntegralNumber() || !node.canConvertToInt()) {
            throw wrongKind(field, "an integer of 32 bits", node);
        }
        return node.intValue();
    }

    private double asDouble(String field, JsonNode node) {
        if (!node.isNumber() || !Double.isFinite(node.doubleValue())) {
            throw wrongKind(field, "a finite number", node);
        }
        return node.doubleValue();
    }

    private String asText(String field, JsonNode node) {
        if (!node.isTextual()) {
            throw wrongKind(field, "a text", node);
        }
        return node.textValue();
    }

    private FormatException wrongKind(String field, String expected, JsonNode node) {
        String shown = node.toString();
        String brief = shown.length() > 80 ? shown.substring(0, 80) + "…" : shown;
        return refuse(field, "is " + brief + ", expected " + expected);
    }
}
