package io.graft.cli;

import io.graft.io.DocumentReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * What tells one state of some text from another: the bytes of its files, and SHA-256 over their names, lengths and
 * contents. Of a file of more than 64 MiB only the first and the last 1 MiB count.
 */
final class Fingerprint {
    private static final long WHOLE = 64L << 20;
    private static final int PART = 1 << 20;
    private static final int SHOWN = 8;

    private Fingerprint() {}

    static String of(Path source) throws IOException {
        MessageDigest digest = sha256();
        long bytes = 0;
        for (Path file : DocumentReader.files(source)) {
            try (FileChannel channel = FileChannel.open(file)) {
                long size = channel.size();
                bytes += size;
                String name = source.relativize(file) + " " + size + "\n";
                digest.update(name.getBytes(StandardCharsets.UTF_8));
                if (size <= WHOLE) {
                    add(digest, channel, 0, size);
                } else {
                    add(digest, channel, 0, PART);
                    add(digest, channel, size - PART, PART);
                }
            }
        }
        return bytes + " bytes, SHA-256 " + HexFormat.of().formatHex(digest.digest(), 0, SHOWN) + "…";
    }

    private static void add(MessageDigest digest, FileChannel channel, long from, long count) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(PART);
        channel.position(from);
        for (long left = count; left > 0; left -= buffer.limit()) {
            buffer.clear().limit((int) Math.min(PART, left));
            while (buffer.hasRemaining() && channel.read(buffer) >= 0) {}
            buffer.flip();
            if (!buffer.hasRemaining()) {
                return;
            }
            digest.update(buffer.duplicate());
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
