package io.graft.io;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * Files that appear whole or not at all.
 *
 * <p>Contents go to a hidden neighbour first, are forced to the disk, and then take the target's name in one step. A
 * process that dies on the way leaves the old contents and perhaps a hidden neighbour, which the next write removes,
 * never half a file. A failed write (a full disk, say) removes it at once and throws {@link UncheckedIOException}.
 */
public final class AtomicFiles {
    /** Writes a file's contents, which may fail. */
    @FunctionalInterface
    public interface Writing {
        /** Writes everything to {@code channel}, and does not close it. */
        void to(FileChannel channel) throws IOException;
    }

    private static final long OWN_PID = ProcessHandle.current().pid();

    private AtomicFiles() {}

    /** Writes {@code text} as UTF-8. */
    public static void write(Path target, String text) {
        write(target, text.getBytes(StandardCharsets.UTF_8));
    }

    /** Writes {@code bytes}. */
    public static void write(Path target, byte[] bytes) {
        write(target, channel -> {
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            while (buffer.hasRemaining()) {
                channel.write(buffer);
            }
        });
    }

    /** Writes what {@code writing} puts into the channel. */
    public static void write(Path target, Writing writing) {
        Path temporary = parent(target).resolve(prefix(target) + OWN_PID + "-" + UUID.randomUUID());
        try {
            deleteUnfinished(target);
            try (FileChannel channel =
                    FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
                writing.to(channel);
                channel.force(true);
            }
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
            forceDirectory(parent(target));
        } catch (IOException e) {
            deleteQuietly(temporary, e);
            throw new UncheckedIOException("cannot write " + target + ": " + e.getMessage(), e);
        } catch (RuntimeException | Error e) {
            deleteQuietly(temporary, e);
            throw e;
        }
    }

    /** The start of a hidden neighbour's name; the number of the process that writes it follows. */
    private static String prefix(Path target) {
        return "." + target.getFileName() + ".new-";
    }

    /** Deletes what processes that died left behind: a checkpoint may be as large as the space that is left. */
    private static void deleteUnfinished(Path target) throws IOException {
        String prefix = prefix(target);
        try (Stream<Path> siblings = Files.list(parent(target))) {
            for (Path sibling : (Iterable<Path>) siblings::iterator) {
                String name = sibling.getFileName().toString();
                if (name.startsWith(prefix) && !isWriting(name.substring(prefix.length()))) {
                    Files.deleteIfExists(sibling);
                }
            }
        }
    }

    private static boolean isWriting(String suffix) {
        String pid = suffix.substring(0, Math.max(0, suffix.indexOf('-')));
        return !pid.matches("\\d{1,18}")
                || ProcessHandle.of(Long.parseLong(pid)).isPresent();
    }

    private static Path parent(Path target) {
        return target.toAbsolutePath().getParent();
    }

    /** Makes renames in a directory durable, where the system can. */
    private static void forceDirectory(Path directory) {
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
            channel.force(true);
        } catch (IOException e) {
            // why: Windows cannot open a directory; its renames are journalled.
            return;
        }
    }

    private static void deleteQuietly(Path file, Throwable cause) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
    }
}
