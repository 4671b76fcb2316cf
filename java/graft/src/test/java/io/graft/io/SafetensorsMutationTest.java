package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Seeded mutations of good files: each is either read or refused with the one exception, and quickly. More of them:
 * {@code -Dgraft.mutations=1000000}.
 */
class SafetensorsMutationTest {
    private static final int MUTATIONS = Integer.getInteger("graft.mutations", 20_000);
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
        "1e9",
        "9223372036854775807",
        "18446744073709551616",
        "null",
        "true",
        "__metadata__",
        "dtype",
        "shape",
        "data_offsets",
        "F32",
        "BF16",
        "\\u0000",
        "\\ud800",
        " ",
        "\n",
        "\0"
    };

    @Test
    @Timeout(value = 1, unit = TimeUnit.HOURS)
    void mutatedHeadersAreReadOrRefused() throws IOException {
        byte[][] seeds = {
            Files.readAllBytes(Fixtures.path("adapters/llama_gqa/lora_rs/adapter_model.safetensors")),
            Files.readAllBytes(Fixtures.path("ops/gradient_clip/above.safetensors")),
            SafetensorsBytes.file(
                    "{\"__metadata__\":{\"a\":\"b\"}," + SafetensorsBytes.entry("x", "U8", "[2,1]", 0, 2) + "}", 2)
        };
        Random random = new Random(MUTATIONS);
        int accepted = 0;
        int refused = 0;
        for (int i = 0; i < MUTATIONS; i++) {
            byte[] bytes = mutate(seeds[random.nextInt(seeds.length)], random);
            try {
                parse(bytes);
                accepted++;
            } catch (SafetensorsException e) {
                assertThat(e).hasMessageStartingWith("mutant: ");
                refused++;
            }
        }
        assertThat(accepted).isPositive();
        assertThat(refused).isGreaterThan(MUTATIONS / 2);
    }

    private static void parse(byte[] bytes) {
        if (bytes.length < 8) {
            throw new SafetensorsException("mutant", "too short");
        }
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        int length = SafetensorsHeader.checkLength("mutant", buffer.getLong(), bytes.length);
        SafetensorsHeader header =
                SafetensorsHeader.parse("mutant", buffer.slice(8, length), bytes.length - 8L - length);
        long end = 0;
        for (SafetensorsHeader.Entry entry : header.entries().values()) {
            assertThat(entry.begin()).isEqualTo(end);
            end = entry.end();
        }
        assertThat(end).isEqualTo(bytes.length - 8L - length);
    }

    /** One to three changes: a flipped bit, a piece of JSON put in or over, a stretch removed or doubled, a cut. */
    private static byte[] mutate(byte[] seed, Random random) {
        int headerEnd =
                8 + (int) ByteBuffer.wrap(seed).order(ByteOrder.LITTLE_ENDIAN).getLong();
        byte[] bytes = seed.clone();
        for (int n = 1 + random.nextInt(3); n > 0 && bytes.length > 9; n--) {
            int at = random.nextInt(Math.min(headerEnd, bytes.length));
            int length = Math.min(1 + random.nextInt(20), bytes.length - at);
            byte[] piece = PIECES[random.nextInt(PIECES.length)].getBytes(StandardCharsets.UTF_8);
            switch (random.nextInt(6)) {
                case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                case 1 -> bytes = splice(bytes, at, 0, piece);
                case 2 -> bytes = splice(bytes, at, length, piece);
                case 3 -> bytes = splice(bytes, at, length, new byte[0]);
                case 4 -> bytes = splice(bytes, at, 0, Arrays.copyOfRange(bytes, at, at + length));
                default -> bytes = Arrays.copyOf(bytes, random.nextInt(bytes.length));
            }
        }
        if (random.nextBoolean() && bytes.length > 8 && seed.length > headerEnd) {
            // why: otherwise the wrong length would hide all that lies behind it.
            int data = Math.min(seed.length - headerEnd, bytes.length - 8);
            ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(bytes.length - 8L - data);
        }
        return bytes;
    }

    private static byte[] splice(byte[] bytes, int at, int removed, byte[] put) {
        byte[] result = new byte[bytes.length - removed + put.length];
        System.arraycopy(bytes, 0, result, 0, at);
        System.arraycopy(put, 0, result, at, put.length);
        System.arraycopy(bytes, at + removed, result, at + put.length, bytes.length - at - removed);
        return result;
    }
}
