package io.graft.io;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Changes of good files, a few at a time: what a careless or a hostile writer would do to bytes, texts and numbers. */
final class Mutants {
    private static final String[] PIECES = {
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "-",
        "0",
        "1e999",
        "99999999999999999999",
        "null",
        "true",
        "\\",
        "\\ud800",
        "(",
        ")",
        "*",
        "..",
        "/",
        "\0",
        "é",
        "{{",
        "}}",
        "{%",
        "%}",
        "{% for i in range(9999999) %}",
        "PK",
        "\u0080\2"
    };
    private static final long[] NUMBERS = {
        0, 1, -1, 127, 255, 65535, Integer.MAX_VALUE, 1L << 32, Long.MAX_VALUE, 1L << 62
    };
    private static final int LONGEST = 1 << 20;

    private final List<byte[]> seeds;
    private final Random random;

    Mutants(List<byte[]> seeds, long seed) {
        this.seeds = seeds;
        this.random = new Random(seed);
    }

    /** Mostly near the start or the end, where formats keep what they are about. */
    private int place(byte[] bytes) {
        int near = Math.min(bytes.length, 512);
        return switch (random.nextInt(3)) {
            case 0 -> random.nextInt(near + 1);
            case 1 -> bytes.length - random.nextInt(near + 1);
            default -> random.nextInt(bytes.length + 1);
        };
    }

    byte[] next() {
        byte[] bytes = seeds.get(random.nextInt(seeds.size()));
        for (int n = 1 + random.nextInt(4); n > 0; n--) {
            int at = place(bytes);
            int end = Math.min(bytes.length, at + 1 + random.nextInt(random.nextInt(8) == 0 ? 4096 : 12));
            bytes = switch (random.nextInt(9)) {
                case 0, 1 -> joined(bytes, at, piece(), end);
                case 2 -> joined(bytes, at, piece(), at);
                case 3 -> joined(bytes, at, number(), Math.min(bytes.length, at + 8));
                case 4 -> joined(bytes, at, new byte[0], end);
                case 5 -> joined(bytes, at, Arrays.copyOfRange(bytes, at, end), at);
                case 6 -> flipped(bytes, at);
                case 7 -> spliced(bytes, at);
                default -> random.nextInt(4) > 0 ? flipped(bytes, at) : Arrays.copyOf(bytes, at);
            };
        }
        return bytes;
    }

    private byte[] piece() {
        return PIECES[random.nextInt(PIECES.length)].getBytes(
                random.nextInt(20) == 0 ? StandardCharsets.ISO_8859_1 : StandardCharsets.UTF_8);
    }

    private byte[] number() {
        long value = NUMBERS[random.nextInt(NUMBERS.length)];
        int bytes = 1 << random.nextInt(4);
        ByteBuffer all =
                ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(value);
        return Arrays.copyOf(all.array(), bytes);
    }

    private byte[] flipped(byte[] bytes, int at) {
        byte[] result = bytes.clone();
        if (result.length > 0) {
            result[Math.min(at, result.length - 1)] ^= (byte) (1 << random.nextInt(8));
        }
        return result;
    }

    private byte[] spliced(byte[] bytes, int at) {
        byte[] other = seeds.get(random.nextInt(seeds.size()));
        int from = random.nextInt(other.length + 1);
        int count = Math.min(other.length - from, random.nextInt(256));
        return joined(bytes, at, Arrays.copyOfRange(other, from, from + count), at);
    }

    private static byte[] joined(byte[] bytes, int at, byte[] middle, int from) {
        int rest = Math.min(bytes.length - from, LONGEST);
        byte[] result = Arrays.copyOf(bytes, at + middle.length + rest);
        System.arraycopy(middle, 0, result, at, middle.length);
        System.arraycopy(bytes, from, result, at + middle.length, rest);
        return result;
    }
}
