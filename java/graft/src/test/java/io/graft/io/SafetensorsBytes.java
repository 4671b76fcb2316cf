package io.graft.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Builds safetensors files by hand, wrong ones above all. */
final class SafetensorsBytes {
    private SafetensorsBytes() {}

    /** A file with this header and {@code dataBytes} bytes 0, 1, 2, … behind it. */
    static byte[] file(String header, int dataBytes) {
        return file(header.getBytes(StandardCharsets.UTF_8), dataBytes);
    }

    static byte[] file(byte[] header, int dataBytes) {
        ByteBuffer bytes = ByteBuffer.allocate(8 + header.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putLong(header.length).put(header);
        for (int i = 0; i < dataBytes; i++) {
            bytes.put((byte) i);
        }
        return bytes.array();
    }

    /** A file whose first eight bytes say {@code n}. */
    static byte[] withLength(long n, int followingBytes) {
        return ByteBuffer.allocate(8 + followingBytes)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(n)
                .array();
    }

    static Path write(Path directory, byte[] bytes) throws IOException {
        return Files.write(directory.resolve("weights.safetensors"), bytes);
    }

    /** A header's entry for one tensor. */
    static String entry(String name, String dtype, String shape, long begin, long end) {
        return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" + begin + ","
                + end + "]}";
    }
}
