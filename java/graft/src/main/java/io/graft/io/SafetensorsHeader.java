package io.graft.io;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The header of a safetensors file: after eight bytes with its length N, N bytes of JSON that name each tensor's type,
 * shape and place; the tensors' bytes follow, without holes.
 *
 * <p>Everything is checked here, before any byte of a tensor is touched: a header that passes describes the whole file
 * exactly. Source: the format's README and the checks of its Rust library.
 */
record SafetensorsHeader(Map<String, Entry> entries, Map<String, String> metadata) {
    static final int MAX_HEADER_BYTES = 100_000_000;
    private static final String METADATA = "__metadata__";

    private static final JsonFactory FACTORY = JsonFactory.builder()
            .streamReadConstraints(
                    StreamReadConstraints.builder().maxNestingDepth(8).build())
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            // why: interning the names of a hostile header would fill a table that the JVM never empties.
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
            .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
            .build();

    /** One tensor; its bytes are [begin, end) of the data that follow the header. */
    record Entry(String name, SafetensorsType type, long[] shape, long begin, long end) {
        long bytes() {
            return end - begin;
        }
    }

    /** Checks the length N that the first eight bytes give, for a file of {@code fileBytes} bytes. */
    static int checkLength(String file, long n, long fileBytes) {
        if (n < 0 || n > MAX_HEADER_BYTES) {
            throw new SafetensorsException(
                    file, "header of " + Long.toUnsignedString(n) + " bytes, more than " + MAX_HEADER_BYTES);
        }
        if (n > fileBytes - Long.BYTES) {
            throw new SafetensorsException(
                    file, "header of " + n + " bytes after 8 does not fit in a file of " + fileBytes);
        }
        return (int) n;
    }

    /** Parses the N bytes of a header that {@code dataBytes} bytes of tensors follow. */
    static SafetensorsHeader parse(String file, ByteBuffer bytes, long dataBytes) {
        String text = decode(file, bytes);
        int length = jsonLength(file, text);
        Map<String, Entry> entries = new LinkedHashMap<>();
        Map<String, String> metadata = Map.of();
        try (JsonParser parser = FACTORY.createParser(text.toCharArray(), 0, length)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                if (name.equals(METADATA)) {
                    metadata = metadata(file, parser);
                } else {
                    entries.put(name, new EntryParser(file, name, parser).parse());
                }
            }
            if (parser.nextToken() != null) {
                throw new SafetensorsException(file, "the header goes on after its closing brace");
            }
        } catch (IOException e) {
            String brief = e instanceof JsonProcessingException json
                    ? json.getOriginalMessage()
                    : String.valueOf(e.getMessage());
            throw new SafetensorsException(file, "the header is not valid JSON: " + brief, e);
        }
        return new SafetensorsHeader(inOrder(file, entries, dataBytes), metadata);
    }

    private static String decode(String file, ByteBuffer bytes) {
        try {
            // why: a fresh decoder reports malformed bytes, where new String would replace them.
            return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
        } catch (CharacterCodingException e) {
            throw new SafetensorsException(file, "the header is not UTF-8", e);
        }
    }

    /** The characters before the padding; only spaces may pad. */
    private static int jsonLength(String file, String text) {
        if (text.isEmpty() || text.charAt(0) != '{') {
            throw new SafetensorsException(file, "the header does not start with '{'");
        }
        int length = text.length();
        while (text.charAt(length - 1) == ' ') {
            length--;
        }
        if (text.charAt(length - 1) != '}') {
            throw new SafetensorsException(file, "the header does not end with '}' and spaces");
        }
        return length;
    }

    private static Map<String, String> metadata(String file, JsonParser parser) throws IOException {
        if (parser.currentToken() != JsonToken.START_OBJECT) {
            throw new SafetensorsException(file, METADATA + " is not an object");
        }
        Map<String, String> metadata = new LinkedHashMap<>();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = parser.currentName();
            if (parser.nextToken() != JsonToken.VALUE_STRING) {
                throw new SafetensorsException(file, METADATA + " '" + key + "' is not a text");
            }
            metadata.put(key, parser.getText());
        }
        return Collections.unmodifiableMap(metadata);
    }

    /** Sorts by place and refuses holes, overlaps, and bytes that belong to no tensor. */
    private static Map<String, Entry> inOrder(String file, Map<String, Entry> entries, long dataBytes) {
        List<Entry> sorted = new ArrayList<>(entries.values());
        sorted.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
        Map<String, Entry> ordered = new LinkedHashMap<>();
        long end = 0;
        for (Entry entry : sorted) {
            if (entry.begin() != end) {
                throw new SafetensorsException(
                        file,
                        "tensor '" + entry.name() + "' starts at " + entry.begin() + ", expected " + end
                                + (entry.begin() < end ? ": it overlaps the one before" : ": there is a hole"));
            }
            end = entry.end();
            ordered.put(entry.name(), entry);
        }
        if (end != dataBytes) {
            throw new SafetensorsException(
                    file, "the tensors end at byte " + end + " of the data, but the file holds " + dataBytes);
        }
        return Collections.unmodifiableMap(ordered);
    }

    /** Reads the object that describes one tensor. */
    private record EntryParser(String file, String name, JsonParser parser) {
        Entry parse() throws IOException {
            if (parser.currentToken() != JsonToken.START_OBJECT) {
                throw refuse("is not described by an object");
            }
            SafetensorsType type = null;
            long[] shape = null;
            long[] offsets = null;
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String field = parser.currentName();
                parser.nextToken();
                switch (field) {
                    case "dtype" -> type = type();
                    case "shape" -> shape = naturals(field);
                    case "data_offsets" -> offsets = naturals(field);
                    default -> parser.skipChildren();
                }
            }
            if (type == null || shape == null || offsets == null) {
                throw refuse("lacks " + (type == null ? "dtype" : shape == null ? "shape" : "data_offsets"));
            }
            if (offsets.length != 2 || offsets[0] > offsets[1]) {
                throw refuse("has the data_offsets " + Arrays.toString(offsets) + ", expected [begin, end]");
            }
            checkSize(type, shape, offsets[1] - offsets[0]);
            return new Entry(name, type, shape, offsets[0], offsets[1]);
        }

        private SafetensorsType type() throws IOException {
            String text = parser.currentToken() == JsonToken.VALUE_STRING ? parser.getText() : null;
            SafetensorsType type = text == null ? null : SafetensorsType.named(text);
            if (type == null) {
                throw refuse("has the unknown dtype " + (text == null ? parser.currentToken() : "'" + text + "'"));
            }
            return type;
        }

        private long[] naturals(String field) throws IOException {
            if (parser.currentToken() != JsonToken.START_ARRAY) {
                throw refuse("has a " + field + " that is not a list");
            }
            List<Long> values = new ArrayList<>();
            while (parser.nextToken() != JsonToken.END_ARRAY) {
                if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT) {
                    throw refuse("has a " + field + " with " + parser.currentToken() + ", expected integers");
                }
                if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER || parser.getLongValue() < 0) {
                    throw refuse("has a " + field + " with " + parser.getText() + ", out of range");
                }
                values.add(parser.getLongValue());
            }
            return values.stream().mapToLong(Long::longValue).toArray();
        }

        private void checkSize(SafetensorsType type, long[] shape, long bytes) {
            long bits = type.bits();
            try {
                for (long size : shape) {
                    bits = Math.multiplyExact(bits, size);
                }
            } catch (ArithmeticException e) {
                throw refuse("of shape " + Arrays.toString(shape) + " is larger than 2^63 bits");
            }
            if (bits % 8 != 0 || bits / 8 != bytes) {
                throw refuse("of shape " + Arrays.toString(shape) + " and dtype " + type + " takes "
                        + (bits % 8 == 0 ? bits / 8 + " bytes" : bits + " bits") + ", but has " + bytes + " bytes");
            }
        }

        private SafetensorsException refuse(String problem) {
            String brief = name.length() > 200 ? name.substring(0, 200) + "…" : name;
            return new SafetensorsException(file, "tensor '" + brief + "' " + problem);
        }
    }
}
