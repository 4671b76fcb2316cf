package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import java.math.BigDecimal;
import java.util.Collection;
import java.util.Iterator;
import java.util.Map;
import java.util.TreeMap;

/**
 * Writes JSON as Python's {@code json.dumps(value, indent=2, sort_keys=True)} does, so that a file written by PEFT and
 * rewritten here differs in nothing that did not change.
 */
final class PythonJson {
    private PythonJson() {}

    static String write(JsonNode node) {
        StringBuilder out = new StringBuilder();
        write(node, "\n", out);
        return out.toString();
    }

    private static void write(JsonNode node, String newline, StringBuilder out) {
        if (node.isObject()) {
            writeObject(node, newline, out);
        } else if (node.isArray()) {
            writeArray(node, newline, out);
        } else if (node.isTextual()) {
            text(node.textValue(), true, out);
        } else if (node.isFloatingPointNumber()) {
            out.append(number(node.doubleValue()));
        } else {
            out.append(node);
        }
    }

    private static void writeObject(JsonNode node, String newline, StringBuilder out) {
        Map<String, JsonNode> sorted = new TreeMap<>();
        node.properties().forEach(field -> sorted.put(field.getKey(), field.getValue()));
        String inner = newline + "  ";
        String separator = "";
        out.append('{');
        for (Map.Entry<String, JsonNode> field : sorted.entrySet()) {
            out.append(separator).append(inner);
            text(field.getKey(), true, out);
            out.append(": ");
            write(field.getValue(), inner, out);
            separator = ",";
        }
        out.append(sorted.isEmpty() ? "" : newline).append('}');
    }

    private static void writeArray(JsonNode node, String newline, StringBuilder out) {
        String inner = newline + "  ";
        String separator = "";
        out.append('[');
        for (Iterator<JsonNode> items = node.elements(); items.hasNext(); separator = ",") {
            out.append(separator).append(inner);
            write(items.next(), inner, out);
        }
        out.append(node.isEmpty() ? "" : newline).append(']');
    }

    private static void text(String text, boolean ascii, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\b' -> out.append("\\b");
                case '\f' -> out.append("\\f");
                default -> {
                    if (c < 0x20 || (ascii && c > 0x7e)) {
                        out.append(String.format("\\u%04x", (int) c));
                    } else {
                        out.append(c);
                    }
                }
            }
        }
        out.append('"');
    }

    /**
     * As {@code json.dumps(value, ensure_ascii=False, indent=indent)} does, of maps, lists, texts, numbers and truth values.
     *
     * @param indent negative for one line
     */
    static String dumps(Object value, int indent) {
        StringBuilder out = new StringBuilder();
        dump(value, indent, "\n", out);
        return out.toString();
    }

    private static void dump(Object value, int indent, String newline, StringBuilder out) {
        if (value instanceof Map<?, ?> map) {
            dumpAll(map.entrySet(), "{}", indent, newline, out);
        } else if (value instanceof Map.Entry<?, ?> field) {
            text(String.valueOf(field.getKey()), false, out);
            out.append(": ");
            dump(field.getValue(), indent, newline, out);
        } else if (value instanceof Collection<?> items) {
            dumpAll(items, "[]", indent, newline, out);
        } else if (value instanceof Double || value instanceof Float) {
            out.append(number(((Number) value).doubleValue()));
        } else if (value == null || value instanceof Number || value instanceof Boolean) {
            out.append(value);
        } else {
            text(value.toString(), false, out);
        }
    }

    private static void dumpAll(Collection<?> items, String brackets, int indent, String newline, StringBuilder out) {
        String inner = newline + " ".repeat(Math.max(0, indent));
        String separator = "";
        out.append(brackets.charAt(0));
        for (Object item : items) {
            out.append(separator).append(indent < 0 ? "" : inner);
            dump(item, indent, inner, out);
            separator = indent < 0 ? ", " : ",";
        }
        out.append(indent < 0 || items.isEmpty() ? "" : newline).append(brackets.charAt(1));
    }

    /** Python's repr of a float: 1e-05 where Java says 1.0E-5, 0.0001 where Java says 1.0E-4. */
    private static String number(double value) {
        String java = Double.toString(value);
        int e = java.indexOf('E');
        if (e < 0) {
            return java;
        }
        int exponent = Integer.parseInt(java.substring(e + 1));
        if (exponent >= -4 && exponent < 16) {
            String plain = new BigDecimal(java).toPlainString();
            return plain.contains(".") ? plain : plain + ".0";
        }
        String mantissa = java.substring(0, e);
        if (mantissa.endsWith(".0")) {
            mantissa = mantissa.substring(0, mantissa.length() - 2);
        }
        return String.format("%se%s%02d", mantissa, exponent < 0 ? "-" : "+", Math.abs(exponent));
    }
}
