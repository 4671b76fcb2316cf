package io.graft.io;

import static io.graft.io.SafetensorsBytes.entry;
import static io.graft.io.SafetensorsBytes.file;
import static io.graft.io.SafetensorsBytes.withLength;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every rule of the header, violated one by one. */
class SafetensorsHeaderTest {
    private static final String A = entry("a", "F32", "[2]", 0, 8);

    @TempDir
    Path directory;

    static Stream<Arguments> violations() {
        String deep = "{\"a\":" + "[".repeat(5000) + "]".repeat(5000) + "}";
        return Stream.of(
                arguments("empty file", new byte[0], "0 bytes, too short"),
                arguments("seven bytes", new byte[7], "7 bytes, too short"),
                arguments("length above the limit", withLength(100_000_001, 8), "100000001 bytes, more than 100000000"),
                arguments("negative length", withLength(-1, 8), "18446744073709551615 bytes, more than"),
                arguments("length beyond the file", withLength(9, 8), "9 bytes after 8 does not fit in a file of 16"),
                arguments("empty header", withLength(0, 0), "does not start with '{'"),
                arguments("not UTF-8", file(new byte[] {'{', (byte) 0xc3, '}'}, 0), "not UTF-8"),
                arguments("overlong UTF-8", file(new byte[] {'{', '"', (byte) 0xc0, (byte) 0xaf, '}'}, 0), "not UTF-8"),
                arguments("space in front", file(" {}", 0), "does not start with '{'"),
                arguments("byte order mark", file("\ufeff{}", 0), "does not start with '{'"),
                arguments("a list", file("[]", 0), "does not start with '{'"),
                arguments("padded with a newline", file("{}\n", 0), "does not end with '}' and spaces"),
                arguments("padded with zeros", file("{}\0\0", 0), "does not end with '}' and spaces"),
                arguments("cut short", file("{" + A, 8), "not valid JSON"),
                arguments("two objects", file("{}{}", 0), "goes on after its closing brace"),
                arguments("trailing comma", file("{" + A + ",}", 8), "not valid JSON"),
                arguments("comment", file("{/**/}", 0), "not valid JSON"),
                arguments("duplicate tensor", file("{" + A + "," + A + "}", 8), "Duplicate"),
                arguments(
                        "duplicate field",
                        file("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1),
                        "Duplicate"),
                arguments("duplicate metadata", file("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0), "Duplicate"),
                arguments("two metadata", file("{\"__metadata__\":{},\"__metadata__\":{}}", 0), "Duplicate"),
                arguments("deep nesting", file(deep, 0), "not described by an object"),
                arguments("deep nesting in an unknown field", file(unknown("[".repeat(5000)), 1), "nesting depth"),
                arguments("metadata no object", file("{\"__metadata__\":[]}", 0), "__metadata__ is not an object"),
                arguments("metadata number", file("{\"__metadata__\":{\"k\":1}}", 0), "'k' is not a text"),
                arguments("metadata object", file("{\"__metadata__\":{\"k\":{}}}", 0), "'k' is not a text"),
                arguments("tensor no object", file("{\"a\":1}", 0), "'a' is not described by an object"),
                arguments("no dtype", file("{\"a\":{\"shape\":[],\"data_offsets\":[0,1]}}", 1), "'a' lacks dtype"),
                arguments("no shape", file("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1), "'a' lacks shape"),
                arguments("no offsets", file("{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", 1), "'a' lacks data_offsets"),
                arguments("unknown dtype", one("F33", "[]", 0, 4, 4), "unknown dtype 'F33'"),
                arguments("dtype in lower case", one("f32", "[]", 0, 4, 4), "unknown dtype 'f32'"),
                arguments("dtype number", file("{\"a\":{\"dtype\":5}}", 0), "unknown dtype VALUE_NUMBER_INT"),
                arguments("negative size", one("F32", "[-2]", 0, 8, 8), "shape with -2, out of range"),
                arguments("size too long", one("F32", "[9223372036854775808]", 0, 8, 8), "out of range"),
                arguments("fractional size", one("F32", "[2.0]", 0, 8, 8), "expected integers"),
                arguments("size as text", one("F32", "[\"2\"]", 0, 8, 8), "expected integers"),
                arguments("shape number", one("F32", "2", 0, 8, 8), "shape that is not a list"),
                arguments("shape of shapes", one("F32", "[[2]]", 0, 8, 8), "expected integers"),
                arguments("overflow", one("F32", "[4294967296,4294967296]", 0, 0, 0), "larger than 2^63 bits"),
                arguments("overflow in bits", one("F32", "[576460752303423488]", 0, 0, 0), "larger than 2^63 bits"),
                arguments("size too small", one("F32", "[2]", 0, 12, 12), "takes 8 bytes, but has 12"),
                arguments("size too large", one("F32", "[4]", 0, 12, 12), "takes 16 bytes, but has 12"),
                arguments("part of a byte", one("F4", "[3]", 0, 2, 2), "takes 12 bits"),
                arguments("end before begin", one("F32", "[2]", 8, 0, 8), "data_offsets [8, 0]"),
                arguments(
                        "one offset", file("{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0]}}", 0), "[0]"),
                arguments(
                        "hole at the start", one("F32", "[2]", 4, 12, 12), "starts at 4, expected 0: there is a hole"),
                arguments(
                        "hole between",
                        file("{" + A + "," + entry("b", "U8", "[1]", 9, 10) + "}", 10),
                        "'b' starts at 9, expected 8: there is a hole"),
                arguments(
                        "overlap",
                        file("{" + A + "," + entry("b", "U8", "[2]", 7, 9) + "}", 9),
                        "'b' starts at 7, expected 8: it overlaps"),
                arguments(
                        "the same place twice",
                        file("{" + A + "," + entry("b", "F32", "[2]", 0, 8) + "}", 8),
                        "starts at 0, expected 8: it overlaps"),
                arguments("data too short", file("{" + A + "}", 7), "end at byte 8 of the data, but the file holds 7"),
                arguments("data too long", file("{" + A + "}", 9), "end at byte 8 of the data, but the file holds 9"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("violations")
    void violationIsRefusedByName(String rule, byte[] bytes, String message) throws IOException {
        Path path = SafetensorsBytes.write(directory, bytes);
        assertThatThrownBy(() -> SafetensorsFile.open(path))
                .isInstanceOf(SafetensorsException.class)
                .hasMessageStartingWith(path.toString())
                .hasMessageContaining(message);
    }

    @Test
    void whatTheFormatAllowsIsAccepted() throws IOException {
        String header = "{\"__metadata__\":{\"format\":\"pt\",\"é\":\"\"},"
                + entry("scalar", "F32", "[]", 0, 4) + ","
                + entry("empty", "I64", "[3,0]", 4, 4) + ","
                + entry("half bytes", "F4", "[4]", 4, 6) + ","
                + entry("", "U8", "[1]", 6, 7) + ","
                + "\"more\":{\"later\":[{}],\"data_offsets\":[7,9],\"shape\":[1],\"dtype\":\"I16\"}}     ";
        try (SafetensorsFile opened = SafetensorsFile.open(SafetensorsBytes.write(directory, file(header, 9)))) {
            assertThat(opened.names()).containsExactly("scalar", "empty", "half bytes", "", "more");
            assertThat(opened.metadata()).containsEntry("format", "pt").containsEntry("é", "");
            assertThat(opened.shape("scalar")).isEmpty();
            assertThat(opened.shape("empty")).containsExactly(3, 0);
            assertThatThrownBy(() -> opened.dtype("more")).hasMessageContaining("I16, which Graft does not read");
        }
    }

    @Test
    void headerWithoutTensorsIsAccepted() throws IOException {
        try (SafetensorsFile opened = SafetensorsFile.open(SafetensorsBytes.write(directory, file("{}", 0)))) {
            assertThat(opened.names()).isEmpty();
            assertThat(opened.metadata()).isEmpty();
        }
    }

    private static byte[] one(String dtype, String shape, long begin, long end, int dataBytes) {
        return file("{" + entry("a", dtype, shape, begin, end) + "}", dataBytes);
    }

    private static String unknown(String value) {
        return "{\"a\":{\"x\":" + value + "}}";
    }
}
